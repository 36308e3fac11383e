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

"""The workload: the container that runs the instance's image."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
import contextlib
import dataclasses
import functools
import os
from typing import Any
import uuid

from oslo_log import log as logging

from nova import exception
from nova import objects
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.instances import command
from nova_docker.instances import configdrive
from nova_docker.instances import copies
from nova_docker.instances import injection
from nova_docker.instances import keys
from nova_docker.instances import rootdisk
from nova_docker import names
from nova_docker.rootvolume import content
from nova_docker.rootvolume import description
from nova_docker.rootvolume import entry
from nova_docker.rootvolume import files as view
from nova_docker import settings
from nova_docker import spec
from nova_docker.volumes import propagate

LOG = logging.getLogger(__name__)

#: What the engine takes from the sandbox, and refuses to be told.
_OF_THE_SANDBOX = ('Hostname', 'Domainname', 'ExposedPorts')
#: What the engine calls a container that has been started, and is whole.
_WITH_DISK = ('running', 'paused', 'restarting', 'exited')


class Workload:
    """Makes workloads, sets their root disks aside and brings them back.

    An instance has one workload under its name. Another may be set aside
    meanwhile, under a name of its own: while the server is rescued, or until
    a resize that took a new container is confirmed.

    :param engine: where they run
    :param injected: writes the key pair
    :param files: writes the files that the user gives
    :param drives: makes config drives
    :param points: has what is mounted into it
    :param tag: tells the metadata of devices with a tag
    :param host: returns the facts that the create arguments depend on
    :param roots: finds root file systems on volumes
    :param starts: starts workloads
    :param files_of: has the files of either kind of root
    """

    def __init__(self, engine: client.Engine, injected: keys.Keys,
                 files: injection.Injection,
                 drives: configdrive.ConfigDrive,
                 points: propagate.Propagation,
                 tag: Callable[[objects.Instance], None],
                 host: Callable[[], spec.Host], roots: content.Roots,
                 starts: entry.Entry, files_of: view.Files) -> None:
        self._engine = engine
        self._keys = injected
        self._files = files
        self._drives = drives
        self._points = points
        self._tag = tag
        self._host = host
        self._roots = roots
        self._entry = starts
        self._view = files_of

    def check(self, instance: objects.Instance) -> None:
        """See that every key makes sense before anything is made.

        :raises BadSetting: naming the key that can't be used
        """
        self.body(instance, '')

    def body(self, instance: objects.Instance, image: str,
             **options: Any) -> client.Document:
        """Return what :func:`nova_docker.spec.workload` makes of it."""
        host = self._host()
        if self._roots.has_any(instance):
            # How large its root disk is, its volume says.
            host = dataclasses.replace(host, disk_quota=False)
        return spec.workload(instance, image, host, **options)

    def create(self, instance: objects.Instance, image: str,
               details: configdrive.Details, *, binds: Sequence[str] = (),
               root: description.Root | None = None, **options: Any) -> None:
        """Create the workload on the instance's sandbox; it is not started.

        :param image: the engine image
        :param details: what the user gives with the server
        :param root: what is its root instead of the image
        :param options: as :func:`nova_docker.spec.workload` has them
        """
        name = names.workload(instance.uuid)
        drive = self._drives.create(instance)
        mounts = [*self._points.create(instance.uuid),
                  *self._fixed(instance, options.get('asked'))]
        body = self.body(instance, image, binds=[*binds, *drive],
                         mounts=mounts, **options)
        self._engine.create(name, root.apply(body) if root else body)
        # The engine itself has less to ask.
        command.check(self._view if root else self._engine, name)
        self._keys.inject(instance)
        self._files.write(instance, details.files)
        self._tag(instance)
        self._drives.fill(instance, details,
                          lambda: self._keys.owner(name))

    def root(self, instance: objects.Instance) -> description.Root | None:
        """Return the root file system that an instance has on a volume."""
        return self._roots.find(instance)

    def start(self, instance: objects.Instance) -> None:
        """Start the workload; a running one stays as it is."""
        self._entry.start(names.workload(instance.uuid))

    def _fixed(self, instance: objects.Instance,
               asked: settings.Workload | None) -> list[client.Document]:
        """Return the mounts of volumes at places of their own.

        :raises BadSetting: a volume that the tenant names is not there
        """
        asked = asked or settings.workload(instance.metadata,
                                           instance.system_metadata)
        found = []
        for tag, place in asked.volumes.items():
            if self._points.is_mounted(instance.uuid,
                                       propagate.Kind.VOLUMES, tag):
                found.append(self._points.fixed(instance.uuid, tag,
                                                place.path))
            elif place.required:
                raise errors.BadSetting(
                    source='Server metadata', key=place.key,
                    reason=f"no volume with the tag '{tag}' is attached.")
        return found

    def check_volumes(self, instance: objects.Instance,
                      container: client.Document) -> None:
        """See that what the container has at places of their own is there.

        A database that starts without its volume would make a new one.

        :raises InstancePowerOnFailure: naming the volume that is missing
        """
        self._roots.check(container)
        for mount in container['HostConfig'].get('Mounts') or ():
            if self._points.lacks(instance.uuid, mount['Source']):
                raise exception.InstancePowerOnFailure(
                    reason=f"the volume for {mount['Target']} is not "
                           'attached: attach it with the tag '
                           f"'{os.path.basename(mount['Source'])}', or "
                           'rebuild the server without it.')

    def limit(self, instance: objects.Instance,
              flavor: objects.Flavor) -> None:
        """Give the workload a flavor's limits; its processes go on."""
        self._engine.update(
            names.workload(instance.uuid),
            spec.changed_limits(instance, flavor, self._host()))

    def mend_limits(self, instance: objects.Instance) -> None:
        """Give the workload the limits of its flavor if it has others.

        A resize that failed may have left them. One that the engine refuses
        to give is no reason not to start the server.
        """
        wanted = spec.changed_limits(instance, instance.flavor, self._host())
        name = names.workload(instance.uuid)
        found = self._engine.container(name)['HostConfig']
        # To write all of them would tie it to the CPUs that there are now.
        at_birth = self.body(instance, '')['HostConfig']
        if all(found[key] in (value, at_birth.get(key, type(value)()))
               for key, value in wanted.items()):
            return
        try:
            self._engine.update(name, wanted)
        except (errors.EngineUnavailable, errors.EngineNotFound):
            raise
        except errors.EngineError as error:
            LOG.warning('It keeps limits that are not those of its flavor: '
                        '%s', error, instance=instance)

    def set_aside(self, instance: objects.Instance) -> None:
        """Free the workload's name, keeping all that it is.

        Can be run again: what stands in for it already is removed.
        :meth:`bring_back` is its twin.
        """
        self.settle(instance)
        if self.is_aside(instance):
            self._engine.remove(names.workload(instance.uuid))
        else:
            self._engine.rename(names.workload(instance.uuid),
                                names.aside(instance.uuid))

    def settle(self, instance: objects.Instance) -> None:
        """Remove what is aside of a server that went on without it.

        Nova ends a resize or a rebuild in which something fails as an error
        that a reboot mends, and nobody is told. What stood in has the disk of
        the server from its first start; what only has a rescued disk has not,
        nor has what the engine could not remove.
        """
        with contextlib.suppress(errors.EngineNotFound):
            aside = self._engine.container(names.aside(instance.uuid))
            found = self._engine.container(names.workload(instance.uuid))
            if (found['State']['Status'] in _WITH_DISK and
                    not rootdisk.is_lent_to(instance, found)):
                LOG.warning('It has run since a resize or a rebuild of it '
                            'failed: the container of before goes.',
                            instance=instance)
                self._engine.remove(aside['Id'])

    def remove_stand_in(self, instance: objects.Instance) -> None:
        """Remove what stands in for the workload that is set aside.

        Can be run again: with none set aside nothing is removed.
        """
        if self.is_aside(instance):
            self._engine.remove(names.workload(instance.uuid))

    def bring_back(self, instance: objects.Instance) -> None:
        """Make the workload that is set aside the instance's again.

        Can be run again.
        """
        if self.is_aside(instance):
            self._engine.remove(names.workload(instance.uuid))
            self._engine.rename(names.aside(instance.uuid),
                                names.workload(instance.uuid))
            self._drives.discard(instance.uuid)

    def reclaim(self, uuid: str) -> None:
        """Give what is set aside its name back: nothing stands in for it.

        :raises EngineNotFound: nothing is set aside
        """
        self._engine.rename(names.aside(uuid), names.workload(uuid))

    def is_aside(self, instance: objects.Instance) -> bool:
        """Whether a workload is set aside."""
        return self._exists(names.aside(instance.uuid))

    def is_here(self, instance: objects.Instance) -> bool:
        """Whether the engine has the instance's root disk."""
        return (self._exists(names.workload(instance.uuid)) or
                self.is_aside(instance))

    def _exists(self, name: str) -> bool:
        with contextlib.suppress(errors.EngineNotFound):
            self._engine.container(name)
            return True
        return False

    def move_disk(self, instance: objects.Instance,
                  details: configdrive.Details, **options: Any) -> None:
        """Replace the workload by one with the same root disk.

        The old one is set aside, stopped.

        :param details: what the config drive says
        :param options: as :func:`nova_docker.spec.workload` has them
        """
        root, image = self.root(instance), self._copied_disk(instance)
        self.set_aside(instance)
        self.create(instance, image, details, root=root, **options)

    def follow_sandbox(self, instance: objects.Instance) -> None:
        """See that a stopped workload is bound to the sandbox that is there.

        The engine keeps a sandbox's id, so that a workload can't start any
        more once an operator has removed the sandbox it was created on, and
        another has been made.
        """
        name = names.workload(instance.uuid)
        old = self._engine.container(name)
        sandbox = self._engine.container(names.sandbox(instance.uuid))
        network = f"container:{sandbox['Id']}"
        if old['HostConfig']['NetworkMode'] == network:
            return
        LOG.warning('The sandbox is not the one that the container was '
                    'created on: its root disk moves to a new container.',
                    instance=instance)
        config = {key: value for key, value in old['Config'].items()
                  if key not in _OF_THE_SANDBOX}
        config['Image'] = self._copied_disk(instance)
        config['HostConfig'] = old['HostConfig'] | {'NetworkMode': network}
        new = self._engine.create(names.successor(instance.uuid), config)
        self._engine.remove(name)
        self._engine.rename(new, name)

    def _copied_disk(self, instance: objects.Instance) -> str:
        """Return an engine image with the root disk; none is in a volume."""
        if self._roots.has_any(instance):
            return self._roots.image()
        reference = names.disk_reference(instance.uuid, uuid.uuid4().hex)
        self._engine.commit(names.workload(instance.uuid), reference,
                            pause=False)
        return reference

    def discard(self, instance: objects.Instance) -> None:
        """Remove every container and disk of the instance.

        They may be gone already.
        """
        own = [f'{names.UUID}={instance.uuid}',
               f'{names.ROLE}={names.Role.WORKLOAD}']
        errors.take_all(
            lambda: self._roots.discard(instance.uuid),
            *(functools.partial(self._remove, container['Id'])
              for container in self._engine.containers(own)),
            lambda: self._discard_disks(instance))

    def _remove(self, container: str) -> None:
        copies.remove(self._engine, container)
        self._engine.remove(container)

    def recover(self) -> None:
        """Finish what a nova-compute that was killed left half done.

        A workload that is set aside while nothing stands in for it is the
        instance's again.
        """
        present = self._present()
        for name, instance_uuid in present.items():
            main = names.workload(instance_uuid)
            if name == names.successor(instance_uuid):
                self._engine.remove(name)
            elif name == names.aside(instance_uuid) and main not in present:
                self.reclaim(instance_uuid)

    def with_stand_in(self) -> list[str]:
        """Return the uuids of the instances whose workload is set aside."""
        return [instance_uuid
                for name, instance_uuid in self._present().items()
                if name == names.aside(instance_uuid)]

    def _present(self) -> dict[str, str]:
        """Return names of the workloads of all kinds, and whose they are."""
        return {container['Names'][0].lstrip('/'):
                container['Labels'][names.UUID]
                for container in self._engine.containers(
                    [f'{names.ROLE}={names.Role.WORKLOAD}'])}

    def discard_aside(self, instance: objects.Instance) -> None:
        """Remove a workload that is set aside; it may be gone already."""
        self._engine.remove(names.aside(instance.uuid))

    def _discard_disks(self, instance: objects.Instance) -> None:
        """Remove the disks that moved, those of later containers first."""
        found = self._engine.images(names.disk_reference(instance.uuid, '*'))
        for image in sorted(found, key=lambda each: each['Created'],
                            reverse=True):
            for reference in image['RepoTags']:
                self._engine.remove_image(reference)
