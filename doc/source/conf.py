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

"""How Sphinx builds the documentation."""

import pathlib
import sys

# The options that are documented are this checkout's.
sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

project = 'nova-docker'
copyright = 'nova-docker contributors'

extensions = ['openstackdocstheme', 'oslo_config.sphinxext',
              'sphinx_feature_classification.support_matrix']
master_doc = 'index'
html_theme = 'openstackdocs'

openstackdocs_auto_name = False
openstackdocs_auto_version = False
openstackdocs_pdf_link = False

man_pages = [
    ('cli/nova-docker-image', 'nova-docker-image',
     'takes container images to Glance and back', '', 1),
    ('cli/nova-docker-status', 'nova-docker-status',
     'checks a compute host, and says what to mend', '', 1),
]
