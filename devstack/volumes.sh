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

# Cinder's backend "files", for a kernel without iSCSI: loop devices of files.
#
#   CINDER_ENABLED_BACKENDS=files:files
#
# DevStack calls a backend's functions by their names.

# Cinder is installed to be edited, as Nova is.
FILES_BACKEND=cinder/volume/drivers/dockenstack_volumes.py

function configure_cinder_backend_files {
    local name=$1
    ln -sfn "$NOVA_DOCKER_DIR/contrib/dockenstack/lib/dockenstack/cloud/volumes.py" \
        "$CINDER_DIR/$FILES_BACKEND"
    ask_dockenstack filters \
        | sudo tee "$CINDER_CONF_DIR/rootwrap.d/files.filters" > /dev/null
    iniset "$CINDER_CONF" "$name" volume_backend_name "$name"
    iniset "$CINDER_CONF" "$name" volume_driver \
        cinder.volume.drivers.dockenstack_volumes.FileDriver
}

function cleanup_cinder_backend_files {
    local state
    state=$(realpath --canonicalize-missing "$CINDER_STATE_PATH")
    sudo losetup --list --noheadings --raw --output NAME,BACK-FILE \
        | awk -v top="$state/volumes/" 'index($2, top) == 1 { print $1 }' \
        | xargs --no-run-if-empty -n 1 sudo losetup --detach
    rm -rf "$state/volumes" "$state/devices"
    sudo rm -f "$CINDER_CONF_DIR/rootwrap.d/files.filters"
    rm -f "$CINDER_DIR/$FILES_BACKEND"
}

function configure_files_backend_tempest {
    iniset "$TEMPEST_CONFIG" volume storage_protocol local
    iniset "$TEMPEST_CONFIG" volume vendor_name dockenstack
    iniset "$TEMPEST_CONFIG" volume disk_format raw
    iniset "$TEMPEST_CONFIG" volume-feature-enabled \
        extend_attached_volume True
}
