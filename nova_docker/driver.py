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

"""DockerDriver: what Nova loads. A short method for each of its verbs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nova.compute import provider_tree as tree
from nova.console import type as console_type
from nova.network import model
from nova.objects import diagnostics as diagnostics_obj
import nova.virt.node
import os_vif

from nova import context as nova_context
from nova import objects
from nova.virt import driver
from nova.virt import hardware
from nova.virt import virtapi as nova_virtapi
from nova_docker import assembly
from nova_docker.conf import CONF
from nova_docker import errors
from nova_docker.instances import configdrive
from nova_docker.instances import destroy
from nova_docker.instances import devices
from nova_docker.network import connection
from nova_docker import processor
from nova_docker import resources
from nova_docker import startup
from nova_docker.volumes import connector


@errors.wall
class DockerDriver(driver.ComputeDriver):
    """Runs Nova's instances as containers on this host's Docker Engine.

    :param virtapi: nova-compute's side of the contract
    :param read_only: as other drivers have it; nothing depends on it
    """

    # What a host can, its options may take away.
    capabilities: dict[str, bool] = {
        **driver.ComputeDriver.capabilities,
        'has_imagecache': True,
        'supports_attach_interface': True,
        'supports_bfv_rescue': True,
        'supports_device_tagging': True,
        'supports_evacuate': True,
        'supports_extend_volume': True,
        'supports_image_type_raw': True,
        # Nova gives shares to hosts with this trait and the last one. What
        # they say of virtual machines' memory has no meaning here.
        'supports_mem_backing_file': True,
        'supports_migrate_to_same_host': True,
        'supports_multiattach': True,
        'supports_tagged_attach_interface': True,
        'supports_tagged_attach_volume': True,
        'supports_trusted_certs': True,
        'supports_virtio_fs': True,
    }

    def __init__(self, virtapi: nova_virtapi.VirtAPI,
                 read_only: bool = False) -> None:
        super().__init__(virtapi)
        # Or a migration could choose the host where the server is.
        self.capabilities = {
            **self.capabilities,
            'supports_migrate_to_same_host': CONF.allow_resize_to_same_host}
        self._engine = engine = assembly.connect()
        self._resources = resources.Resources(engine)
        self._images = assembly.Images(engine)
        self._network = assembly.Network(engine)
        self._storage = assembly.Storage(engine)
        self._consoles = assembly.Consoles(engine)
        self._servers = assembly.Servers(
            engine, self._resources.host, self._images, self._network,
            self._storage, self._consoles, virtapi)
        self._watch = assembly.Watch(
            engine, self._images, self._storage, self._servers, virtapi,
            self.emit_event)

    # The host

    def init_host(self, host: str) -> None:
        startup.check(self._engine)
        os_vif.initialize()
        for part in self._servers.prepared:
            part.prepare()
        self._images.snapshot.discard_leftovers()
        self._servers.rescue.recover()
        self._watch.lifecycle.start()
        self._watch.procfiles.start()

    def cleanup_host(self, host: str) -> None:
        self._watch.lifecycle.stop()
        self._watch.orphans.stop()
        self._consoles.serial.stop()
        self._watch.procfiles.stop()

    def get_available_nodes(self, refresh: bool = False) -> list[str]:
        return [CONF.host]

    def get_nodenames_by_uuid(self, refresh: bool = False) -> dict[str, str]:
        return {nova.virt.node.get_local_node_uuid(): CONF.host}

    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        return self._resources.available(nodename)

    def update_provider_tree(
            self, provider_tree: tree.ProviderTree, nodename: str,
            allocations: dict[str, Any] | None = None) -> None:
        self._resources.update_provider_tree(
            provider_tree, nodename, self._get_allocation_ratios,
            self._get_reserved_host_disk_gb_from_config())

    def get_host_uptime(self) -> str:
        return resources.uptime()

    def get_host_cpu_stats(self) -> dict[str, int]:
        return processor.statistics()

    def get_host_ip_addr(self) -> str:
        return str(CONF.my_ip)

    def cache_image(self, context: nova_context.RequestContext,
                    image_id: str) -> bool:
        return self._images.cache.fetch(context, image_id)

    def manage_image_cache(self, context: nova_context.RequestContext,
                           all_instances: objects.InstanceList) -> None:
        self._images.cache.manage(all_instances)

    # What is here

    def list_instances(self) -> list[str]:
        return self._servers.query.names()

    def list_instance_uuids(self) -> list[str]:
        return self._servers.query.uuids()

    def get_info(self, instance: objects.Instance,
                 use_cache: bool = True) -> hardware.InstanceInfo:
        return self._servers.query.info(instance)

    def get_diagnostics(self, instance: objects.Instance) -> dict[str, int]:
        return self._servers.diagnostics.flat(instance)

    def get_instance_diagnostics(self, instance: objects.Instance
                                 ) -> diagnostics_obj.Diagnostics:
        return self._servers.diagnostics(instance)

    def get_console_output(self, context: nova_context.RequestContext,
                           instance: objects.Instance) -> str:
        return self._consoles.output.tail(instance)

    def get_serial_console(self, context: nova_context.RequestContext,
                           instance: objects.Instance
                           ) -> console_type.ConsoleSerial:
        return self._consoles.serial.open(instance)

    # Birth and death

    def spawn(self, context: nova_context.RequestContext,
              instance: objects.Instance, image_meta: objects.ImageMeta,
              injected_files: Any, admin_password: str | None,
              allocations: dict[str, Any],
              network_info: model.NetworkInfo | None = None,
              block_device_info: dict[str, Any] | None = None,
              power_on: bool = True, accel_info: Any = None) -> None:
        self._servers.spawn(
            context, instance, image_meta, configdrive.Details(
                _ports(network_info), injected_files or (), admin_password,
                block_device_info), power_on)

    def destroy(self, context: nova_context.RequestContext,
                instance: objects.Instance, network_info: model.NetworkInfo,
                block_device_info: dict[str, Any] | None = None,
                destroy_disks: bool = True,
                destroy_secrets: bool = True) -> None:
        self._servers.destroy(instance, _ports(network_info), destroy_disks)

    def cleanup(self, context: nova_context.RequestContext,
                instance: objects.Instance, network_info: model.NetworkInfo,
                block_device_info: dict[str, Any] | None = None,
                destroy_disks: bool = True, migrate_data: Any = None,
                destroy_vifs: bool = True,
                destroy_secrets: bool = True) -> None:
        ports = _ports(network_info if destroy_vifs else None)
        self._servers.destroy(instance, ports, destroy_disks)

    def rebuild(self, context: nova_context.RequestContext,
                instance: objects.Instance, image_meta: objects.ImageMeta,
                injected_files: Any, admin_password: str | None,
                allocations: dict[str, Any], bdms: Any,
                detach_block_devices: Callable[..., None],
                attach_block_devices: Callable[..., Any],
                network_info: model.NetworkInfo | None = None,
                evacuate: bool = False,
                block_device_info: dict[str, Any] | None = None,
                preserve_ephemeral: bool = False, accel_uuids: Any = None,
                reimage_boot_volume: bool = False) -> None:
        if evacuate:
            detach_block_devices(context, bdms)
            block_device_info = attach_block_devices(context, instance, bdms)
        self._servers.rebuild(
            context, instance, image_meta, configdrive.Details(
                _ports(network_info), injected_files or (), admin_password,
                block_device_info), evacuate, reimage_boot_volume)

    def instance_on_disk(self, instance: objects.Instance) -> bool:
        return self._servers.workloads.made.is_here(instance)

    def snapshot(self, context: nova_context.RequestContext,
                 instance: objects.Instance, image_id: str,
                 update_task_state: Callable[..., None]) -> None:
        self._images.snapshot(context, instance, image_id, update_task_state)

    # Power

    def _connect(self, context: nova_context.RequestContext,
                 instance: objects.Instance,
                 block_device_info: dict[str, Any] | None = None) -> None:
        """Connect the volumes of a server that has a container to start."""
        self._servers.power.found(instance)
        self._storage.volumes.ensure(context, instance, block_device_info)

    def power_on(self, context: nova_context.RequestContext,
                 instance: objects.Instance, network_info: model.NetworkInfo,
                 block_device_info: dict[str, Any] | None = None,
                 accel_info: Any = None, share_info: Any = None) -> None:
        devices.share(instance, share_info or ())
        self._connect(context, instance, block_device_info)
        self._servers.power.on(instance, _ports(network_info))

    def power_off(self, instance: objects.Instance, timeout: int = 0,
                  retry_interval: int = 0) -> None:
        self._servers.power.off(instance, timeout)

    def reboot(self, context: nova_context.RequestContext,
               instance: objects.Instance, network_info: model.NetworkInfo,
               reboot_type: str,
               block_device_info: dict[str, Any] | None = None,
               bad_volumes_callback: Any = None, accel_info: Any = None,
               share_info: Any = None) -> None:
        volumes = self._storage.volumes
        self._connect(context, instance, block_device_info)
        self._servers.power.reboot(
            instance, _ports(network_info), reboot_type == 'HARD',
            lambda: volumes.discard_others(instance, block_device_info))

    def poll_rebooting_instances(
            self, timeout: int,
            instances: list[objects.Instance]) -> None:
        # There is none: it has ended, or failed, when its call does.
        pass

    def pause(self, instance: objects.Instance) -> None:
        self._servers.power.pause(instance)

    def unpause(self, instance: objects.Instance) -> None:
        self._servers.power.unpause(instance)

    def suspend(self, context: nova_context.RequestContext,
                instance: objects.Instance) -> None:
        self._servers.suspension.suspend(instance)

    def resume(self, context: nova_context.RequestContext,
               instance: objects.Instance, network_info: model.NetworkInfo,
               block_device_info: dict[str, Any] | None = None,
               share_info: Any = None) -> None:
        self._connect(context, instance, block_device_info)
        self._servers.suspension.resume(instance, _ports(network_info))

    def resume_state_on_host_boot(
            self, context: nova_context.RequestContext,
            instance: objects.Instance, network_info: model.NetworkInfo,
            share_info: Any,
            block_device_info: dict[str, Any] | None = None) -> None:
        self._connect(context, instance, block_device_info)
        self._servers.power.restore(instance, _ports(network_info))

    def soft_delete(self, instance: objects.Instance) -> None:
        self._servers.power.off(instance)

    def restore(self, instance: objects.Instance) -> None:
        self._connect(nova_context.get_admin_context(), instance)
        self._servers.power.restore(instance,
                                    connection.known_ports(instance))

    def quiesce(self, context: nova_context.RequestContext,
                instance: objects.Instance,
                image_meta: objects.ImageMeta) -> None:
        self._servers.quiesce.begin(instance, image_meta)

    def unquiesce(self, context: nova_context.RequestContext,
                  instance: objects.Instance,
                  image_meta: objects.ImageMeta) -> None:
        self._servers.quiesce.end(instance, image_meta)

    def trigger_crash_dump(self, instance: objects.Instance) -> None:
        self._servers.power.crash(instance)

    def set_admin_password(self, instance: objects.Instance,
                           new_pass: str) -> None:
        self._servers.passwords.set(instance, new_pass)

    # Rescue

    def rescue(self, context: nova_context.RequestContext,
               instance: objects.Instance, network_info: model.NetworkInfo,
               image_meta: objects.ImageMeta, rescue_password: str | None,
               block_device_info: dict[str, Any] | None,
               share_info: Any) -> None:
        self._storage.volumes.ensure(context, instance, block_device_info)
        self._servers.rescue.begin(context, instance, _ports(network_info),
                                   image_meta, rescue_password)

    def unrescue(self, context: nova_context.RequestContext,
                 instance: objects.Instance) -> None:
        self._storage.volumes.ensure(context, instance)
        self._servers.rescue.end(instance)

    # Resize and cold migration

    def migrate_disk_and_power_off(
            self, context: nova_context.RequestContext,
            instance: objects.Instance, dest: str, flavor: objects.Flavor,
            network_info: model.NetworkInfo,
            block_device_info: dict[str, Any] | None = None,
            timeout: int = 0, retry_interval: int = 0) -> str:
        return self._servers.resize.begin(
            context, instance, dest, flavor, configdrive.Details(
                _ports(network_info), block_devices=block_device_info),
            timeout)

    def finish_migration(
            self, context: nova_context.RequestContext,
            migration: objects.Migration, instance: objects.Instance,
            disk_info: str, network_info: model.NetworkInfo,
            image_meta: objects.ImageMeta, resize_instance: bool,
            allocations: dict[str, Any],
            block_device_info: dict[str, Any] | None = None,
            power_on: bool = True, share_info: Any = None) -> None:
        self._servers.resize.finish(
            context, instance, disk_info, configdrive.Details(
                _ports(network_info), block_devices=block_device_info),
            power_on)

    def confirm_migration(self, context: nova_context.RequestContext,
                          migration: objects.Migration,
                          instance: objects.Instance,
                          network_info: model.NetworkInfo) -> None:
        self._servers.resize.confirm(instance, migration,
                                     _ports(network_info))

    def finish_revert_migration(
            self, context: nova_context.RequestContext,
            instance: objects.Instance, network_info: model.NetworkInfo,
            migration: objects.Migration,
            block_device_info: dict[str, Any] | None = None,
            power_on: bool = True, share_info: Any = None) -> None:
        self._servers.resize.revert(
            context, instance, configdrive.Details(
                _ports(network_info), block_devices=block_device_info),
            power_on)

    def check_instance_shared_storage_local(
            self, context: nova_context.RequestContext,
            instance: objects.Instance) -> dict[str, str]:
        if not destroy.stays_here(context, instance):
            # Nova takes this for a no, and another host's silence for a yes.
            raise NotImplementedError
        # Not the engine's own id: hosts cloned from one image share it.
        return {'host': CONF.host}

    def check_instance_shared_storage_remote(
            self, context: nova_context.RequestContext,
            data: dict[str, str]) -> bool:
        return data == {'host': CONF.host}

    # Volumes

    def get_volume_connector(self, instance: objects.Instance
                             ) -> dict[str, Any]:
        return connector.properties()

    def default_root_device_name(
            self, instance: objects.Instance, image_meta: objects.ImageMeta,
            root_bdm: objects.BlockDeviceMapping) -> str:
        return devices.ROOT

    def get_device_name_for_instance(
            self, instance: objects.Instance,
            bdms: objects.BlockDeviceMappingList,
            block_device_obj: objects.BlockDeviceMapping) -> str:
        return devices.next_name(bdms, block_device_obj.device_name)

    def attach_volume(self, context: nova_context.RequestContext,
                      connection_info: dict[str, Any],
                      instance: objects.Instance, mountpoint: str,
                      disk_bus: str | None = None,
                      device_type: str | None = None,
                      encryption: dict[str, Any] | None = None) -> None:
        self._storage.attachments.add(
            context, instance, connection_info, mountpoint, encryption,
            devices.tag)

    def detach_volume(self, context: nova_context.RequestContext,
                      connection_info: dict[str, Any],
                      instance: objects.Instance, mountpoint: str,
                      encryption: dict[str, Any] | None = None) -> None:
        self._storage.attachments.detach(instance, connection_info)

    def swap_volume(self, context: nova_context.RequestContext,
                    old_connection_info: dict[str, Any],
                    new_connection_info: dict[str, Any],
                    instance: objects.Instance, mountpoint: str,
                    resize_to: int) -> None:
        self._storage.moves(instance, old_connection_info,
                            new_connection_info)

    def extend_volume(self, context: nova_context.RequestContext,
                      connection_info: dict[str, Any],
                      instance: objects.Instance,
                      requested_size: int) -> None:
        self._storage.volumes.extend(context, instance, connection_info)

    def get_all_volume_usage(
            self, context: nova_context.RequestContext,
            compute_host_bdms: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self._storage.usage.all(compute_host_bdms)

    def block_stats(self, instance: objects.Instance,
                    disk_id: str) -> list[int] | None:
        return self._storage.usage.of_device(instance, disk_id)

    # Shares

    def mount_share(self, context: nova_context.RequestContext,
                    instance: objects.Instance,
                    share_mapping: objects.ShareMapping) -> None:
        self._storage.shares.mount(share_mapping)

    def umount_share(self, context: nova_context.RequestContext,
                     instance: objects.Instance,
                     share_mapping: objects.ShareMapping) -> bool:
        return self._storage.shares.unmount(share_mapping)

    def is_share_mounted(self, share_mapping: objects.ShareMapping) -> bool:
        return self._storage.shares.is_mounted(share_mapping)

    # Network

    def attach_interface(self, context: nova_context.RequestContext,
                         instance: objects.Instance,
                         image_meta: objects.ImageMeta,
                         vif: model.VIF) -> None:
        ports = model.NetworkInfo([vif])
        self._network.ports.attach(
            instance, vif,
            lambda: self._servers.power.quieten(instance, ports),
            lambda: devices.tag(instance))

    def detach_interface(self, context: nova_context.RequestContext,
                         instance: objects.Instance, vif: model.VIF) -> None:
        self._network.ports.detach(instance, vif)

    def plug_vifs(self, instance: objects.Instance,
                  network_info: model.NetworkInfo) -> None:
        self._network.ports.restore(
            instance, network_info,
            lambda: self._servers.power.quieten(instance, network_info))

    def unplug_vifs(self, instance: objects.Instance,
                    network_info: model.NetworkInfo) -> None:
        self._network.ports.unplug(instance, network_info)


def _ports(network_info: model.NetworkInfo | None) -> model.NetworkInfo:
    return model.NetworkInfo() if network_info is None else network_info
