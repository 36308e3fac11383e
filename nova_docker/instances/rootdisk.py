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

"""The root disk of a server that is set aside, as a directory of the host."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import functools
import os
from typing import Final

from nova import exception
from nova import objects
from nova_docker.conf import CONF
from nova_docker.engine import client
from nova_docker import names
from nova_docker.privsep import mounttable
from nova_docker.privsep import overlay
from nova_docker.privsep import rootfiles
from nova_docker.privsep import subvolume
from nova_docker.rootvolume import layout

#: Of the directory above it: programs there may raise privileges, and nobody
#: else of this host may get at them. The rescue needs them as they are.
_MODE: Final = 0o700


def directory(instance: objects.Instance) -> str:
    """Return where the root disk appears on the host."""
    return os.path.join(os.path.realpath(CONF.instances_path), instance.uuid,
                        'rescue')


def is_lent_to(instance: objects.Instance,
               workload: client.Document) -> bool:
    """Whether a container, inspected, has the root disk of another."""
    bind = f'{directory(instance)}:'
    return any(each.startswith(bind)
               for each in workload['HostConfig']['Binds'] or ())


class RootDisk:
    """Mounts the root disk of a workload that is set aside.

    :param engine: which knows where it is
    """

    def __init__(self, engine: client.Engine) -> None:
        self._engine = engine

    def mount(self, instance: objects.Instance) -> None:
        """Mount the root disk that is set aside.

        Can be run again. :meth:`unmount` is its twin.

        :raises InstanceNotRescuable: the engine's storage driver keeps root
            disks where nobody else can mount them
        """
        target = directory(instance)
        above = os.path.dirname(target)
        os.makedirs(above, exist_ok=True)
        os.chmod(above, _MODE)
        if mounttable.find(target) is None:
            mount = self._way(instance, self._engine.container(
                names.aside(instance.uuid)))
            os.makedirs(target, exist_ok=True)
            mount(target)

    def restore(self, instance: objects.Instance,
                workload: client.Document) -> None:
        """Mount it again for a stand-in that has it, before that starts.

        Before any other starts it is unmounted: that may be the workload
        whose root disk it is, after a rescue that was cut short, and the
        kernel does not say what becomes of a disk that is mounted twice.

        :param workload: what is about to start, inspected
        """
        if is_lent_to(instance, workload):
            self.mount(instance)
        elif mounttable.find(directory(instance)) is not None:
            self.unmount(instance)

    def is_lent(self, instance: objects.Instance) -> bool:
        """Whether the workload is a stand-in that has the root disk."""
        return is_lent_to(instance, self._engine.container(
            names.workload(instance.uuid)))

    def _way(self, instance: objects.Instance,
             kept: client.Document) -> Callable[[str], None]:
        """Return what mounts the root disk of a container on a directory."""
        volume = layout.source(kept)
        if volume:
            return functools.partial(rootfiles.lend, volume)
        driver = kept.get('GraphDriver') or {'Name': kept.get('Driver')}
        if driver['Name'] == 'overlay2':
            return functools.partial(
                overlay.mount, os.path.dirname(driver['Data']['UpperDir']))
        if driver['Name'] in subvolume.DRIVERS:
            return functools.partial(
                subvolume.mount, self._engine.info()['DockerRootDir'],
                driver['Name'], kept['Id'])
        others = ', '.join(sorted(subvolume.DRIVERS))
        raise exception.InstanceNotRescuable(
            instance_id=instance.uuid,
            reason=f"the engine's storage driver is '{driver['Name']}', and "
                   f'only with overlay2, {others} can a root disk be mounted '
                   'into a rescue container.')

    @staticmethod
    def unmount(instance: objects.Instance) -> None:
        """Unmount it and remove its directory; both may be gone already."""
        target = directory(instance)
        if mounttable.find(target) is not None:
            overlay.unmount(target)
        for path in (target, os.path.dirname(target)):
            # Others of the server's files may be beside it.
            with contextlib.suppress(OSError):
                os.rmdir(path)
