#!/bin/bash
#
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

# Have nova-compute run containers: DevStack's plugin of nova-docker.
#
# DevStack sources this in each of its phases, with the phase as arguments.
# stack.sh ends at the first command that fails.

_XTRACE_NOVA_DOCKER=$(set +o | grep xtrace)
set +o xtrace

# shellcheck source=devstack/volumes.sh
source "$(dirname "${BASH_SOURCE[0]}")/volumes.sh"

# Install

# What would end stack.sh for want of an image shall end it at once.
function check_image_file {
    if [[ -z "$NOVA_DOCKER_IMAGE_FILE" ]]; then
        if ! is_ubuntu; then
            die $LINENO "Set NOVA_DOCKER_IMAGE_FILE: an image is made of" \
                "Debian's or Ubuntu's packages only."
        fi
    elif [[ ! -f "$NOVA_DOCKER_IMAGE_FILE" ]]; then
        die $LINENO "NOVA_DOCKER_IMAGE_FILE names no file:" \
            "$NOVA_DOCKER_IMAGE_FILE"
    fi
}

function start_docker {
    if ! is_service_enabled n-cpu; then
        return
    fi
    # One that is there already may be another's package.
    if ! type -p dockerd > /dev/null; then
        if is_ubuntu; then
            install_package docker.io
        else
            install_package docker-ce docker-ce-cli containerd.io
        fi
    fi
    start_service docker
    add_user_to_group "$STACK_USER" "$DOCKER_GROUP"
    if [[ "$NOVA_DOCKER_LXCFS" == True ]]; then
        start_lxcfs
    fi
}

# One that runs is for somebody's containers, and stays as it is.
function start_lxcfs {
    if ! systemctl is-active --quiet lxcfs; then
        describe_lxcfs
        install_package lxcfs
        # To systemd an unmet condition is no failure of a start.
        start_service lxcfs || true
    fi
    if ! lxcfs_serves; then
        echo_summary 'LXCFS does not run here: /proc in a server tells of' \
            "the host's CPUs, memory and uptime"
    fi
}

# Left alone LXCFS shows the host's processors and load. And the
# distributions' unit does not start in a container, though where there is
# FUSE LXCFS serves as well there.
function describe_lxcfs {
    local command='/usr/bin/lxcfs --enable-cfs --enable-loadavg /var/lib/lxcfs'
    sudo mkdir -p "$NOVA_DOCKER_LXCFS_UNIT"
    {
        if systemd-detect-virt --quiet --container; then
            printf '%s\n' '[Unit]' 'ConditionVirtualization='
        fi
        printf '%s\n' '[Service]' 'ExecStart=' "ExecStart=$command"
    } | sudo tee "$NOVA_DOCKER_LXCFS_UNIT/nova-docker.conf" > /dev/null
    sudo systemctl daemon-reload
}

# Where we described it, it runs for the servers alone.
function stop_lxcfs {
    if [[ -e "$NOVA_DOCKER_LXCFS_UNIT/nova-docker.conf" ]]; then
        stop_service lxcfs
        # It takes being stopped for a failure of its own.
        sudo systemctl reset-failed lxcfs || true
        sudo rm "$NOVA_DOCKER_LXCFS_UNIT/nova-docker.conf"
        sudo rmdir --ignore-fail-on-non-empty "$NOVA_DOCKER_LXCFS_UNIT"
        sudo systemctl daemon-reload
    fi
}

# It is mounted some time after its unit has started.
function lxcfs_serves {
    timeout 10 bash -c 'while systemctl is-active --quiet lxcfs; do
        grep --quiet . /var/lib/lxcfs/proc/cpuinfo && exit 0
        sleep 0.2
    done; exit 1' 2> /dev/null
}

# Nova and this repository both have a directory nova/virt. Nova is installed
# to be edited, so it is found last, and a nova/virt of anyone else hides it.
# Install from a tree of links that has all but ours, and link that into Nova.
function install_nova_docker {
    local tree=$NOVA_DOCKER_DATA/tree
    local name
    rm -rf "$tree"
    mkdir -p "$tree"
    while read -r name; do
        ln -s "$NOVA_DOCKER_DIR/$name" "$tree/$name"
    done < <(ls -A -I nova -I '*.egg-info' "$NOVA_DOCKER_DIR")
    setup_develop "$tree"
    ln -sfn "$NOVA_DOCKER_DIR/nova/virt/docker" "$NOVA_DIR/nova/virt/docker"
}

# Configure

function configure_nova_docker {
    # It writes to the same file in the background, and of two that do so at
    # once one may lose what the other wrote.
    async_wait configure_neutron_nova
    iniset "$NOVA_CONF" DEFAULT compute_driver docker.DockerDriver
    # Where the driver listens for the proxy, which may be on another node, and
    # where DevStack has other hypervisors listen: without brackets if IPv6.
    iniset "$NOVA_CONF" serial_console proxyclient_address \
        "$(iniget "$NOVA_CONF" DEFAULT my_ip)"
    if [[ "$NOVA_DOCKER_LXCFS" == True ]] && lxcfs_serves; then
        iniset "$NOVA_CONF" docker lxcfs required
    fi
    # Nova runs its privileged helpers by rootwrap, which has to know ours.
    sudo install -o root -g root -m 644 \
        "$NOVA_DOCKER_DIR"/etc/nova/rootwrap.d/docker.filters \
        "$NOVA_CONF_DIR/rootwrap.d"
}

# Glance takes container images unless someone said what it takes.
function configure_nova_docker_images {
    local formats
    formats=$(iniget "$GLANCE_API_CONF" image_format container_formats)
    if [[ -n "$formats" && ",$formats," != *,docker,* ]]; then
        iniset "$GLANCE_API_CONF" image_format container_formats \
            "$formats,docker"
    fi
}

# The bridge of servers is OVN's own, and where nothing is said OVN leaves it
# the datapath that it had. Nothing passes between two datapaths, so it is that
# of the public bridge, which outlives unstack.sh, or else what is asked for.
function choose_ovn_datapath {
    local kind
    if is_service_enabled ovn-controller; then
        kind=$(sudo ovs-vsctl --if-exists get bridge "$PUBLIC_BRIDGE" \
            datapath_type | tr -d '"')
        kind=${kind:-$OVS_DATAPATH_TYPE}
        if [[ "$kind" != "$OVS_DATAPATH_TYPE" ]]; then
            echo_summary "$PUBLIC_BRIDGE has kept its datapath, $kind, and" \
                "the bridge of servers with it"
        fi
        sudo ovs-vsctl set open_vswitch . \
            external-ids:ovn-bridge-datapath-type="$kind"
    fi
}

# Docker drops whatever the host forwards, but for what this chain lets pass:
# servers with a floating address reach the world through the host.
function forward_public_network {
    local change=$1
    local direction
    # An engine without iptables drops nothing.
    if [[ "$change" == allow ]] \
            && ! sudo iptables -S DOCKER-USER > /dev/null 2>&1; then
        echo_summary 'Docker has no chain DOCKER-USER: its firewall stays' \
            'as it is'
        return
    fi
    for direction in -i -o; do
        sudo iptables -D DOCKER-USER "$direction" "$PUBLIC_BRIDGE" \
            -j ACCEPT 2> /dev/null || true
        if [[ "$change" == allow ]]; then
            sudo iptables -I DOCKER-USER "$direction" "$PUBLIC_BRIDGE" \
                -j ACCEPT
        fi
    done
}

# Images

# What dockenstack knows is known in one place.
function ask_dockenstack {
    PYTHONPATH=$NOVA_DOCKER_DIR/contrib/dockenstack/lib \
        "$PYTHON" "$NOVA_DOCKER_DIR/devstack/facts.py" "$@"
}

function upload_nova_docker_images {
    local archive=$NOVA_DOCKER_IMAGE_FILE
    if [[ -z "$archive" ]]; then
        archive=$NOVA_DOCKER_DATA/ssh.tar
        ask_dockenstack image ssh "$archive"
    fi
    # Tempest would take apart an archive that is not compressed.
    if [[ "$archive" == *.tar ]]; then
        zstd --quiet --force "$archive" \
            -o "$NOVA_DOCKER_DATA/$DEFAULT_IMAGE_FILE_NAME"
    else
        DEFAULT_IMAGE_FILE_NAME=$(basename "$archive")
        local copy=$NOVA_DOCKER_DATA/$DEFAULT_IMAGE_FILE_NAME
        # It may be what the plugin made the time before.
        if [[ ! "$archive" -ef "$copy" ]]; then
            cp "$archive" "$copy"
        fi
    fi
    # Where DevStack tells Tempest to look.
    # shellcheck disable=SC2034
    SCENARIO_IMAGE_DIR=$NOVA_DOCKER_DATA
    local name
    # The other is what Tempest rebuilds servers from.
    for name in "$DEFAULT_IMAGE_NAME" "$DEFAULT_IMAGE_NAME-alt"; do
        openstack --os-cloud=devstack-admin \
            --os-region-name="$REGION_NAME" image create "$name" --public \
            --container-format docker --disk-format raw \
            --property img_hv_type=docker \
            --file "$NOVA_DOCKER_DATA/$DEFAULT_IMAGE_FILE_NAME"
    done
}

# Test

function configure_nova_docker_tempest {
    local name value
    while read -r name value; do
        iniset "$TEMPEST_CONFIG" compute-feature-enabled "$name" "$value"
    done < <(ask_dockenstack features)
    iniset "$TEMPEST_CONFIG" compute hypervisor_type docker
    iniset "$TEMPEST_CONFIG" scenario img_disk_format raw
    iniset "$TEMPEST_CONFIG" scenario img_container_format docker
    # Addresses are there when a container starts; nothing has to ask.
    iniset "$TEMPEST_CONFIG" scenario dhcp_client ''
    if [[ ",$CINDER_ENABLED_BACKENDS" == *,files:* ]]; then
        configure_files_backend_tempest
    fi
}

# Unstack

function remove_nova_docker_containers {
    local containers
    containers=$(sudo docker ps --all --quiet \
        --filter label=org.openstack.nova.uuid)
    # Each word is an id.
    # shellcheck disable=SC2086
    if [[ -n "$containers" ]]; then
        sudo docker rm --force --volumes $containers
    fi
}

# Volumes of servers are mounted in Nova's state, which is about to be removed.
function unmount_nova_docker_volumes {
    findmnt --raw --noheadings --output TARGET \
        | awk -v top="$NOVA_STATE_PATH/" 'index($0, top) == 1' | sort -r \
        | xargs --no-run-if-empty -n 1 sudo umount
}

function stop_nova_docker {
    if is_service_enabled n-cpu; then
        # It would take what follows for servers that went down.
        stop_process n-cpu
        remove_nova_docker_containers
        unmount_nova_docker_volumes
        stop_lxcfs
        forward_public_network deny
    fi
    rm -f "$NOVA_DIR/nova/virt/docker"
}

function clean_nova_docker {
    if is_service_enabled n-cpu; then
        sudo docker image ls --format '{{.Repository}}:{{.Tag}}' \
            | grep '^nova-docker/' \
            | xargs --no-run-if-empty sudo docker image rm
    fi
    rm -rf "$NOVA_DOCKER_DATA"
}

case "$1 $2" in
    'stack pre-install')
        if is_service_enabled glance; then
            check_image_file
        fi
        echo_summary 'Starting Docker'
        start_docker
        ;;
    'stack install')
        echo_summary 'Installing nova-docker'
        install_nova_docker
        ;;
    'stack post-config')
        echo_summary 'Configuring nova-docker'
        if is_service_enabled nova; then
            configure_nova_docker
        fi
        if is_service_enabled glance; then
            configure_nova_docker_images
        fi
        ;;
    'stack extra')
        choose_ovn_datapath
        if is_service_enabled n-cpu; then
            forward_public_network allow
        fi
        if is_service_enabled glance; then
            echo_summary 'Uploading container images'
            upload_nova_docker_images
        fi
        ;;
    'stack test-config')
        if is_service_enabled tempest; then
            echo_summary 'Configuring Tempest for containers'
            configure_nova_docker_tempest
        fi
        ;;
    'unstack '*)
        stop_nova_docker
        ;;
    'clean '*)
        clean_nova_docker
        ;;
esac

$_XTRACE_NOVA_DOCKER
