# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Read a subunit stream and write what became of each test, as JSON.

The runner itself has nothing but the standard library, so it starts this with
the Python of the virtual environment.
"""

import json
import sys
from typing import Any

import subunit
import testtools


def main() -> None:
    tests = []

    def ended(test: Any) -> None:
        if test['id'] is None:
            return
        details = test['details']
        tests.append({
            'id': test['id'],
            'status': test['status'],
            'reason': _text(details, 'reason'),
            'not_implemented': _text(details, 'not-implemented'),
        })

    result = testtools.StreamToDict(ended)
    result.startTestRun()
    subunit.ByteStreamToStreamResult(
        sys.stdin.buffer, non_subunit_name='stdout').run(result)
    result.stopTestRun()
    json.dump([each for each in tests if each['status'] != 'exists'],
              sys.stdout)


def _text(details: dict[str, Any], name: str) -> str:
    return details[name].as_text().strip() if name in details else ''


if __name__ == '__main__':
    main()
