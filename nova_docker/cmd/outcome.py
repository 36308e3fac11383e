#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""What a check of a compute host can come to."""

from oslo_upgradecheck import upgradecheck

#: What a check returns.
Result = upgradecheck.Result


def good(details: str) -> Result:
    """Return the result of a check that found nothing to mend."""
    return Result(upgradecheck.Code.SUCCESS, details)


def doubtful(details: str) -> Result:
    """Return the result of a check that found what may be meant so."""
    return Result(upgradecheck.Code.WARNING, details)


def bad(details: str) -> Result:
    """Return the result of a check that found what keeps servers away.

    :param details: what is wrong, and how it is mended
    """
    return Result(upgradecheck.Code.FAILURE, details)
