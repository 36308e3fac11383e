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

"""The project's tests; each directory says what its tests need."""

import os


def _use_native_threads() -> None:
    """Forbid the import of eventlet, as nova-compute does.

    Nova's own test packages ask for this variable too. Nova before 33 reads
    it when the module is imported, and has nothing to call.
    """
    os.environ.setdefault('OS_NOVA_DISABLE_EVENTLET_PATCHING', 'true')
    from nova import monkey_patch
    getattr(monkey_patch, 'patch', lambda: None)()


_use_native_threads()
