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

"""Privileged functions in daemons of a test's own, as under nova-compute."""

from __future__ import annotations

import pathlib
import sys
import unittest

from oslo_privsep import priv_context

from nova_docker.conf import CONF


def use(test: type[unittest.TestCase], context: priv_context.PrivContext,
        section: str, arguments: str = '') -> None:
    """Give a class of tests a daemon, started by the first call.

    One that runs is ended. Called while the class is set up, or later.

    :param section: the context's options
    :param arguments: of privsep-helper
    """
    helper = pathlib.Path(sys.executable).with_name('privsep-helper')
    path = ':'.join(sys.path)
    context.stop()
    CONF.set_override('helper_command',
                      f'env PYTHONPATH={path} {helper} {arguments}', section)
    test.addClassCleanup(CONF.clear_override, 'helper_command', section)
    test.addClassCleanup(context.stop)
