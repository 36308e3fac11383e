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

"""The guides' own sessions, typed on a cloud as a reader would."""

from __future__ import annotations

import ddt

from nova_docker.tests.cloud import clouds
from nova_docker.tests.extras import session
from nova_docker.tests import guides


@ddt.ddt
class GuidesTestCase(session.SessionTestCase):
    @ddt.data(*guides.SESSIONS)
    def test(self, page: str) -> None:
        self.type_page(page, guides.SESSIONS[page], events={
            'Glance has a former version of them': _load_former})


def _load_former() -> None:
    """Have Glance describe the keys of servers by other words."""
    clouds.connection('admin').image.update_metadef_namespace(
        'OS::Compute::DockerServer', display_name='Former',
        description='Former', visibility='public', protected=True)
