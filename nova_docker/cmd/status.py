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

"""nova-docker-status: checks a compute host, and says what to mend."""

from __future__ import annotations

import argparse
from collections.abc import Callable
import functools
import sys
from typing import Any
from typing import Final

from nova import exception
from oslo_config import cfg
from oslo_log import log as logging
from oslo_upgradecheck import upgradecheck

from nova_docker.cmd import enginefacts
from nova_docker.cmd import hostfacts
from nova_docker.cmd import outcome
from nova_docker.conf import CONF
from nova_docker.engine import client
from nova_docker import errors
from nova_docker import startup

LOG = logging.getLogger(__name__)

#: Seconds that one answer of the engine may take.
_PATIENCE: Final = 20
_DESCRIPTION: Final = """\
Check a compute host of nova-docker, and say what to mend.

Run it on the host, before nova-compute is started the first time and before
an upgrade, as the user that nova-compute runs as:

  sudo -u nova nova-docker-status upgrade check

It changes nothing. The privileged daemons are started for a moment, as
nova-compute would start them.
"""
_EPILOG: Final = """\
checks:
  Configuration       nova.conf can be read, names this driver, and gives its
                      options values that they can have
  Engine access       the user may open the socket of Docker Engine
  Docker Engine       it answers, and is 20.10 or later
  Control groups      memory, CPUs, swap, processes and pinning can be limited
  Storage driver      it is a good one, and enforces the size of a root disk
  Init                there is an init process for containers
  CPUs                [compute] cpu_shared_set and cpu_dedicated_set fit
  LXCFS               servers see their own CPUs and memory in /proc
  VIF plug-ins        os-vif can plug ports into Open vSwitch
  Open vSwitch        its database answers, and Neutron's bridge is there
  Privileged daemons  sudo and rootwrap let them start
  Clock               something keeps it right

exit status:
  0    nothing to mend
  1    something may be meant so, or limits what servers can have
  2    something keeps servers from running here
  255  the check itself failed, as for a configuration that can't be read

files:
  /etc/nova/nova.conf and, where they are, /etc/nova/nova-compute.conf and
  what is in /etc/nova/nova.conf.d and /etc/nova/nova-compute.conf.d, or what
  --config-file and --config-dir name: use what nova-compute uses

see also: nova-status(1), nova-compute(1)
"""


def _judged(check: Callable[[Any], outcome.Result]
            ) -> Callable[[Any], outcome.Result]:
    """Decorate a check: an error in it is what it found."""
    @functools.wraps(check)
    def judged(commands: Any) -> outcome.Result:
        try:
            return check(commands)
        except errors.EngineError as error:
            return outcome.bad('Docker Engine does not answer as it should '
                               f'({error.message}): start it, and see its '
                               'log.')
        except (cfg.Error, ValueError, OSError,
                exception.NovaException) as error:
            return outcome.bad(str(error))
        except Exception as error:
            # The others must have their say.
            LOG.debug('A check failed', exc_info=True)
            return outcome.bad(f'The check itself failed, with {error!r}.')
    return judged


class Commands(upgradecheck.UpgradeCommands):
    """The checks, in the order in which a failure explains the next."""

    display_title = 'nova-docker Compute Host Check Results'

    @functools.cached_property
    def _engine(self) -> client.Engine:
        return client.Engine(CONF.docker.url, timeout=_PATIENCE)

    @functools.cached_property
    def _info(self) -> client.Document:
        return self._engine.info()

    @_judged
    def configuration(self) -> outcome.Result:
        return hostfacts.configuration()

    @_judged
    def access(self) -> outcome.Result:
        return hostfacts.access()

    @_judged
    def engine(self) -> outcome.Result:
        version = self._engine.version()
        startup.check_version(version)
        return outcome.good(f"Docker Engine {version['Version']} answers.")

    @_judged
    def control_groups(self) -> outcome.Result:
        return enginefacts.control_groups(self._info)

    @_judged
    def storage(self) -> outcome.Result:
        return enginefacts.storage(self._info)

    @_judged
    def init(self) -> outcome.Result:
        return enginefacts.init(self._info)

    @_judged
    def cpus(self) -> outcome.Result:
        startup.check_cpus(lambda: self._info)
        return outcome.good('Servers can have the CPUs that the options give '
                            'them.')

    @_judged
    def proc_files(self) -> outcome.Result:
        return hostfacts.proc_files()

    @_judged
    def plugins(self) -> outcome.Result:
        return hostfacts.plugins()

    @_judged
    def switch(self) -> outcome.Result:
        return hostfacts.switch()

    @_judged
    def daemons(self) -> outcome.Result:
        return hostfacts.daemons()

    @_judged
    def clock(self) -> outcome.Result:
        return hostfacts.clock()

    _upgrade_checks = (
        ('Configuration', configuration),
        ('Engine access', access),
        ('Docker Engine', engine),
        ('Control groups', control_groups),
        ('Storage driver', storage),
        ('Init', init),
        ('CPUs', cpus),
        ('LXCFS', proc_files),
        ('VIF plug-ins', plugins),
        ('Open vSwitch', switch),
        ('Privileged daemons', daemons),
        ('Clock', clock),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='nova-docker-status', description=_DESCRIPTION, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--config-file', action='append', metavar='PATH',
        help='a configuration file of nova-compute; can be given several '
             'times')
    parser.add_argument(
        '--config-dir', action='append', metavar='DIR',
        help='a directory with configuration files of nova-compute')
    commands = parser.add_subparsers(metavar='upgrade check', required=True)
    upgrade = commands.add_parser(
        'upgrade', help='check this host', description=_DESCRIPTION,
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    upgrade.add_argument('check', choices=['check'], metavar='check',
                         help='run every check')
    upgrade.add_argument('--json', action='store_true',
                         help='write the results as JSON')
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    :param arguments: those of this process by default
    :returns: its exit status
    """
    given = sys.argv[1:] if arguments is None else arguments
    # oslo.config would format the help as it formats options.
    named = _parser().parse_args(given).config_dir
    # It would look for the directories of a program of this name.
    found = [] if named else cfg.find_config_dirs(project='nova',
                                                  prog='nova-compute')
    directories = [f'--config-dir={each}' for each in found]
    try:
        return int(upgradecheck.main(
            CONF, 'nova', Commands(), [*directories, *given],
            cfg.find_config_files(project='nova', prog='nova-compute')))
    except cfg.Error as error:
        sys.stderr.write(f'nova-docker-status: {error}\n')
        return 255


if __name__ == '__main__':
    sys.exit(main())
