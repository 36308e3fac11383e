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

"""Builds the driver's parts from the options, package by package."""

from __future__ import annotations

from collections.abc import Callable
import os

from nova.image import glance

from nova.virt import event
from nova.virt import virtapi as nova_virtapi
from nova_docker.conf import CONF
from nova_docker.console import output
from nova_docker.console import serial
from nova_docker.engine import client
from nova_docker import health
from nova_docker.images import cache
from nova_docker.images import snapshot
from nova_docker.images import store
from nova_docker.instances import attempt
from nova_docker.instances import configdrive
from nova_docker.instances import destroy
from nova_docker.instances import devices
from nova_docker.instances import diagnostics
from nova_docker.instances import injection
from nova_docker.instances import keys
from nova_docker.instances import lifecycle
from nova_docker.instances import migration
from nova_docker.instances import orphans
from nova_docker.instances import password
from nova_docker.instances import porter
from nova_docker.instances import power
from nova_docker.instances import procfiles
from nova_docker.instances import query
from nova_docker.instances import quiesce
from nova_docker.instances import rebuild
from nova_docker.instances import rescue
from nova_docker.instances import resize
from nova_docker.instances import rootdisk
from nova_docker.instances import spawn
from nova_docker.instances import suspension
from nova_docker.instances import workload
from nova_docker.network import connection
from nova_docker.network import datapath
from nova_docker.network import leftovers
from nova_docker.network import sandbox
from nova_docker.network import wiring
from nova_docker.rootvolume import content
from nova_docker.rootvolume import entry
from nova_docker.rootvolume import files
from nova_docker.rootvolume import gate
from nova_docker import spec
from nova_docker.volumes import attachment
from nova_docker.volumes import ephemeral
from nova_docker.volumes import flags
from nova_docker.volumes import move
from nova_docker.volumes import propagate
from nova_docker.volumes import records
from nova_docker.volumes import shares
from nova_docker.volumes import steps
from nova_docker.volumes import usage
from nova_docker.volumes import whole


def connect() -> client.Engine:
    """Return this host's engine; nothing asks it yet."""
    options = CONF.docker
    return client.Engine(options.url, options.api_timeout,
                         options.stream_timeout)


class Images:
    """Brings images from Glance into the engine, and back.

    :param engine: has them
    """

    def __init__(self, engine: client.Engine) -> None:
        self.api = glance.API()
        self.store = store.Store(engine, self.api)
        self.cache = cache.Cache(engine, self.store, self.api)
        self.snapshot = snapshot.Snapshot(engine, self.api)


class Network:
    """Has a sandbox for each server, and brings its ports there.

    :param engine: runs the sandboxes
    """

    def __init__(self, engine: client.Engine) -> None:
        self.boxes = sandbox.Sandbox(engine, CONF.docker.sandbox_image)
        self.ports = connection.Connection(
            self.boxes, wiring.Wiring(datapath.Datapath()))


class Storage:
    """Shows volumes, ephemeral disks and shares to servers.

    :param engine: runs the servers
    """

    def __init__(self, engine: client.Engine) -> None:
        self.points = points = propagate.Propagation(CONF.docker.mounts_path)
        self.records = kept = records.Records(
            os.path.join(CONF.state_path, 'connections'))
        acts = steps.Steps(engine, points, kept)
        self.attachments = attachment.Attachments(
            acts, points, kept, devices.volume_tags, flags.ask)
        self.moves = move.Move(acts, points, kept)
        self.local = ephemeral.Ephemeral(
            points, os.path.join(CONF.state_path, 'ephemeral'))
        self.volumes = whole.Volumes(
            self.attachments, self.moves, kept, points, self.local)
        self.shares = shares.Shares(points)
        self.usage = usage.Usage(kept)


class Consoles:
    """Shows what servers write, and takes what users type.

    :param engine: runs the servers
    """

    def __init__(self, engine: client.Engine) -> None:
        self.output = output.Output(
            engine, CONF.docker.console_output_max_size)
        self.serial = serial.Serial(
            engine, CONF.serial_console.proxyclient_address,
            CONF.serial_console.port_range)


class Workloads:
    """Makes and starts the containers that run tenants' images.

    :param engine: runs them
    :param host: returns what the engine's host has
    :param images: what they run
    :param network: whose sandboxes they join
    :param storage: what they are shown
    """

    def __init__(self, engine: client.Engine, host: Callable[[], spec.Host],
                 images: Images, network: Network, storage: Storage) -> None:
        self.contents = contents = files.Files(engine)
        self.drives = configdrive.ConfigDrive(engine, network.boxes)
        self.disks = rootdisk.RootDisk(engine)
        self.roots = content.Roots(
            engine, images.store, images.api, storage.volumes, storage.points,
            gate.Gate(engine))
        self.starts = entry.Entry(engine, storage.records)
        self.made = workload.Workload(
            engine, keys.Keys(contents), injection.Injection(contents),
            self.drives, storage.points, devices.tag, host, self.roots,
            self.starts, contents)


class Servers:
    """Has a part for each of Nova's verbs.

    :param engine: runs the servers
    :param host: returns what the engine's host has
    :param images: what they run, and become
    :param network: where their ports are
    :param storage: where their volumes are
    :param consoles: which end with them
    :param virtapi: nova-compute's side of the contract
    """

    def __init__(self, engine: client.Engine, host: Callable[[], spec.Host],
                 images: Images, network: Network, storage: Storage,
                 consoles: Consoles, virtapi: nova_virtapi.VirtAPI) -> None:
        self.workloads = work = Workloads(engine, host, images, network,
                                          storage)
        self.query = query.Query(engine)
        self.diagnostics = diagnostics.Diagnostics(engine)
        self.power = power.Power(engine, network.ports, work.made, work.disks)
        self.suspension = suspension.Suspension(
            engine, self.query, self.power, network.ports, network.boxes,
            storage.points, host)
        self.destroy = destroy.Destroy(
            network.ports, work.made, work.disks, self.power, work.drives,
            storage.points, storage.volumes, consoles.serial)
        self.spawn = spawn.Spawn(
            engine, images.store, network.ports, work.made, storage.volumes,
            self.destroy, virtapi, work.roots)
        self.rebuild = rebuild.Rebuild(
            images.store, work.made, self.power, work.disks, self.spawn)
        attempts = attempt.Attempt(engine, network.boxes)
        self.resize = resize.Resize(
            engine, work.made, self.power, storage.volumes, self.destroy,
            migration.Migration(
                images.api, images.snapshot, self.power, self.spawn,
                work.roots, network.ports, storage.local),
            storage.local, attempts)
        self.quiesce = quiesce.Quiesce(engine, storage.volumes)
        self.passwords = password.Password(engine, work.contents)
        self.rescue = rescue.Rescue(
            images.store, work.made, self.power, work.disks, self.passwords)
        #: In this order, before any instance is looked at.
        self.prepared = (network.ports, storage.volumes, self.suspension,
                         attempts)


class Watch:
    """Follows what happens in the engine without Nova.

    :param engine: tells of it
    :param images: which leave something there when it goes away
    :param storage: what servers that start by themselves need
    :param servers: who they are
    :param virtapi: takes the host's state
    :param emit: takes the servers' states
    """

    def __init__(self, engine: client.Engine, images: Images,
                 storage: Storage, servers: Servers,
                 virtapi: nova_virtapi.VirtAPI,
                 emit: Callable[[event.LifecycleEvent], None]) -> None:
        state = health.Health(lambda: CONF.host,
                              virtapi.update_compute_provider_status)
        opener = porter.Porter(engine, servers.workloads.starts,
                               storage.volumes)
        self.orphans = orphans.Orphans(engine, leftovers.Leftovers(),
                                       servers.destroy)
        self.lifecycle = lifecycle.Lifecycle(
            engine, servers.query, emit, state, self.orphans, opener,
            images.snapshot, heard=state.is_heard,
            started=opener.started)
        self.procfiles = procfiles.ProcFiles(engine, servers.query)
