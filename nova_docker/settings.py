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

"""PURE: the keys by which images, tenants and operators shape a workload.

Three sources, each with its own table: image properties, server metadata
(which wins over the image), flavor extra specs (operators only). A key that
is not in its table, or a value that its parser refuses, is a
:class:`~nova_docker.errors.BadSetting` that names it.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import json
import posixpath
import re
import shlex
import signal
from typing import Any
from typing import TypeVar

from oslo_utils import strutils

from nova_docker import errors

T = TypeVar('T')
Parser = Callable[[str], Any]

#: The resource limits that the engine can set, as it calls them.
ULIMITS = ('core', 'cpu', 'data', 'fsize', 'locks', 'memlock', 'msgqueue',
           'nice', 'nofile', 'nproc', 'rss', 'rtprio', 'rttime', 'sigpending',
           'stack')
#: The kernel's, capabilities(7), and all of them.
_CAPABILITIES = (
    'ALL', 'AUDIT_CONTROL', 'AUDIT_READ', 'AUDIT_WRITE', 'BLOCK_SUSPEND',
    'BPF', 'CHECKPOINT_RESTORE', 'CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH',
    'FOWNER', 'FSETID', 'IPC_LOCK', 'IPC_OWNER', 'KILL', 'LEASE',
    'LINUX_IMMUTABLE', 'MAC_ADMIN', 'MAC_OVERRIDE', 'MKNOD', 'NET_ADMIN',
    'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_RAW', 'PERFMON', 'SETFCAP',
    'SETGID', 'SETPCAP', 'SETUID', 'SYSLOG', 'SYS_ADMIN', 'SYS_BOOT',
    'SYS_CHROOT', 'SYS_MODULE', 'SYS_NICE', 'SYS_PACCT', 'SYS_PTRACE',
    'SYS_RAWIO', 'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'WAKE_ALARM')
#: One of them as the engine takes it: in any case, with or without CAP_.
CAPABILITY = rf'(?i:(?:CAP_)?(?:{"|".join(_CAPABILITIES)}))'
_SIGNALS = frozenset(each.name for each in signal.Signals)
_SIGNAL_NUMBERS = frozenset(map(str, range(1, signal.NSIG)))
#: Nova keeps this many bytes of an image property and drops the rest.
_PROPERTY_LENGTH = 255


@dataclasses.dataclass(frozen=True)
class Workload:
    """What an image's owner and the tenant ask for; None: as the image."""

    command: list[str] | None = None
    entrypoint: list[str] | None = None
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    workdir: str | None = None
    user: str | None = None
    tty: bool = True
    init: bool = True
    stop_signal: str | None = None
    #: Where volumes are besides /volumes, by their tags.
    volumes: Mapping[str, 'Place'] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a volume is to be in a container.

    :param required: the server may not be made without the volume
    :param key: what asks for it
    """

    path: str
    required: bool
    key: str


@dataclasses.dataclass(frozen=True)
class Device:
    """A host device that a workload may use."""

    host_path: str
    path: str
    permissions: str


@dataclasses.dataclass(frozen=True)
class Ulimit:
    """A resource limit of the workload's processes."""

    soft: int
    hard: int


@dataclasses.dataclass(frozen=True)
class Privileges:
    """What an operator's flavor grants or limits."""

    runtime: str | None = None
    privileged: bool = False
    cap_add: list[str] = dataclasses.field(default_factory=list)
    cap_drop: list[str] = dataclasses.field(default_factory=list)
    security_opt: list[str] = dataclasses.field(default_factory=list)
    pids_limit: int | None = None
    #: MiB
    shm_size: int | None = None
    read_only: bool = False
    ulimits: Mapping[str, Ulimit] = dataclasses.field(default_factory=dict)
    sysctls: Mapping[str, str] = dataclasses.field(default_factory=dict)
    devices: Mapping[str, Device] = dataclasses.field(default_factory=dict)


def words(text: str) -> list[str]:
    """Parse a command: a JSON list of strings, or words as a shell reads."""
    if text.lstrip().startswith('['):
        parsed = json.loads(text)
        if not all(isinstance(word, str) for word in parsed):
            raise ValueError('the JSON list holds something else than strings')
        return list(parsed)
    return shlex.split(text)


def boolean(text: str) -> bool:
    """Parse yes and no in the forms that Nova takes."""
    return strutils.bool_from_string(text, strict=True)


def _matching(pattern: str, meaning: str) -> Parser:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f'{text!r} is not {meaning}')
        return text
    return parse


def _at_least(least: int, unit: str) -> Parser:
    def parse(text: str) -> int:
        if not re.fullmatch(r'-?\d+', text) or int(text) < least:
            raise ValueError(
                f'{text!r} is not a number of {unit}, {least} or more')
        return int(text)
    return parse


def _names(pattern: str, meaning: str) -> Parser:
    one = _matching(pattern, meaning)

    def parse(text: str) -> list[str]:
        return [one(item.strip()) for item in text.split(',')]
    return parse


def _signal(text: str) -> str:
    name = text.removeprefix('SIG')
    known = (text in _SIGNAL_NUMBERS or f'SIG{name}' in _SIGNALS or
             re.fullmatch(r'RTMIN\+([1-9]|1[0-5])|RTMAX-([1-9]|1[0-4])', name))
    if not known:
        raise ValueError(f'{text!r} is not a signal')
    return text


def _ulimit(text: str) -> Ulimit:
    match = re.fullmatch(r'(-1|\d+)(?::(-1|\d+))?', text)
    if not match:
        raise ValueError(f"{text!r} is not 'soft' or 'soft:hard'")
    soft, hard = int(match[1]), int(match[2] or match[1])
    if hard >= 0 and not 0 <= soft <= hard:
        raise ValueError(f'in {text!r} the soft limit is above the hard one')
    return Ulimit(soft, hard)


def _device(text: str) -> Device:
    match = re.fullmatch(
        r'(/dev/[^:]+)(?::(/[^:]+))?(?::((?=.)r?w?m?))?', text)
    if not match or posixpath.normpath(match[1]) != match[1]:
        raise ValueError(f"{text!r} is not '/dev/NAME[:PATH[:rwm]]'")
    host_path, path, permissions = match.groups()
    return Device(host_path, path or host_path, permissions or 'rwm')


_sysctl = _matching('.+', 'a value: it is empty')
_path = _matching(r'/[^\0]*', 'an absolute path')
_tag = _matching(r'[A-Za-z0-9][A-Za-z0-9._-]*',
                 "the tag of a volume that can be a directory's name")
_user = _matching(r'[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][\w.-]*)?',
                  "'user' or 'user:group'")
_capabilities = _names(CAPABILITY, 'a capability such as NET_ADMIN')

_IMAGE: Mapping[str, tuple[str, Parser]] = {
    'os_command_line': ('command', words),
    'docker_entrypoint': ('entrypoint', words),
    'docker_workdir': ('workdir', _path),
    'docker_user': ('user', _user),
    'docker_tty': ('tty', boolean),
    'docker_init': ('init', boolean),
    'docker_stop_signal': ('stop_signal', _signal),
}
_METADATA: Mapping[str, tuple[str, Parser]] = {
    'docker:command': ('command', words),
    'docker:entrypoint': ('entrypoint', words),
    'docker:workdir': ('workdir', _path),
    'docker:user': ('user', _user),
    'docker:tty': ('tty', boolean),
}
_FLAVOR: Mapping[str, tuple[str, Parser]] = {
    'docker:runtime': ('runtime', _matching(r'[\w.-]+', 'a runtime')),
    'docker:privileged': ('privileged', boolean),
    'docker:cap_add': ('cap_add', _capabilities),
    'docker:cap_drop': ('cap_drop', _capabilities),
    'docker:security_opt': ('security_opt', _names(
        r'\S+', 'a security option')),
    'docker:pids_limit': ('pids_limit', _at_least(0, 'processes')),
    'docker:shm_size': ('shm_size', _at_least(1, 'MiB')),
    'docker:read_only': ('read_only', boolean),
}
#: Flavor keys that end in a name of the operator's choice.
_FLAVOR_FAMILIES: Mapping[str, tuple[str, str, Parser]] = {
    'docker:ulimit_': ('ulimits', '|'.join(ULIMITS), _ulimit),
    'docker:sysctl_': ('sysctls', r'[a-z0-9_.-]+', _sysctl),
    'docker:device_': ('devices', r'\d+', _device),
}
#: First parts of paths that are the kernel's, the engine's or the driver's.
_KERNELS = frozenset({'', '.root', 'dev', 'proc', 'shares', 'sys',
                      'volumes'})
_TENANTS_VOLUME = 'docker:volume:'
_ENV_NAME = r'[A-Za-z_][A-Za-z0-9_]*'


def _parsed(source: str, key: str, text: str, parser: Parser) -> Any:
    try:
        if '\0' in text:
            raise ValueError('the value holds a NUL character')
        return parser(text)
    except ValueError as error:
        raise errors.BadSetting(
            source=source, key=key, reason=f'{error}.') from error


def _place(text: str) -> str:
    path = posixpath.normpath(_path(text))
    if path.lstrip('/').partition('/')[0] in _KERNELS:
        raise ValueError(f'{text!r} is not a place for a volume')
    return path


def _volumes(source: str, prefix: str, given: Mapping[str, str],
             required: bool) -> dict[str, Place]:
    return {
        _parsed(source, key, key.removeprefix(prefix), _tag):
        Place(_parsed(source, key, value, _place), required, key)
        for key, value in given.items() if key.startswith(prefix)}


def _environment(source: str, prefix: str,
                 given: Mapping[str, str]) -> dict[str, str]:
    name = _matching(_ENV_NAME, 'the name of an environment variable')
    return {
        _parsed(source, key, key.removeprefix(prefix), name):
        _parsed(source, key, value, str)
        for key, value in given.items() if key.startswith(prefix)}


def _image(properties: Mapping[str, str]) -> dict[str, Any]:
    source = 'Image property'
    family, volumes = 'docker_env_', 'docker_volume_'
    for key in properties:
        if (key.startswith('docker_') and key not in _IMAGE and
                not key.startswith((family, volumes))):
            raise _unknown(source, key, [
                *_IMAGE, f'{family}<NAME>', f'{volumes}<TAG>'])
    _refuse_cut(source, {
        key: text for key, text in properties.items()
        if key in _IMAGE or key.startswith((family, volumes))})
    found = {field: _parsed(source, key, properties[key], parser)
             for key, (field, parser) in _IMAGE.items()
             if properties.get(key)}
    return found | {
        'env': _environment(source, family, properties),
        'volumes': _volumes(source, volumes, properties, required=False)}


def _refuse_cut(source: str, properties: Mapping[str, str]) -> None:
    """Half a command is another command: better none at all."""
    for key, text in properties.items():
        if len(text.encode()) >= _PROPERTY_LENGTH:
            raise errors.BadSetting(
                source=source, key=key,
                reason=f'it must be shorter than {_PROPERTY_LENGTH} bytes, '
                       'since Nova cuts off the rest.')


def _metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    source, family, volumes = 'Server metadata', 'docker:env:', _TENANTS_VOLUME
    found = {}
    for key, text in metadata.items():
        if (not key.startswith('docker:')
                or key.startswith((family, volumes))):
            continue
        if key not in _METADATA:
            raise _unknown(source, key, [*_METADATA, f'{family}<NAME>',
                                         f'{volumes}<TAG>'])
        field, parser = _METADATA[key]
        found[field] = _parsed(source, key, text, parser)
    return found | {
        'env': _environment(source, family, metadata),
        'volumes': _volumes(source, volumes, metadata, required=True)}


def _unknown(source: str, key: str, known: list[str]) -> errors.BadSetting:
    return errors.BadSetting(
        source=source, key=key,
        reason=f'no such key; there are {", ".join(sorted(known))}.')


def workload(metadata: Mapping[str, str],
             system_metadata: Mapping[str, str]) -> Workload:
    """Return what the image and the tenant ask for.

    :param metadata: the server's metadata
    :param system_metadata: Nova's, which holds each image property with
        ``image_`` before its name
    :raises BadSetting: naming the key
    """
    image = _image({key.removeprefix('image_'): value
                    for key, value in system_metadata.items()
                    if key.startswith('image_') and value is not None})
    tenant = _metadata(metadata)
    env = {**image.pop('env'), **tenant.pop('env')}
    volumes = {**image.pop('volumes'), **tenant.pop('volumes')}
    return Workload(**{**image, **tenant}, env=env, volumes=volumes)


def flavor_parser(key: str) -> tuple[str, str | None, Parser] | None:
    """Return (field, name in a family or None, parser) of a flavor key."""
    if key in _FLAVOR:
        field, parser = _FLAVOR[key]
        return field, None, parser
    for prefix, (field, pattern, parser) in _FLAVOR_FAMILIES.items():
        name = key.removeprefix(prefix)
        if name != key and re.fullmatch(pattern, name):
            return field, name, parser
    return None


def privileges(extra_specs: Mapping[str, str]) -> Privileges:
    """Return what the flavor grants.

    :param extra_specs: the flavor's
    :raises BadSetting: naming the key
    """
    source = 'Flavor key'
    found: dict[str, Any] = {}
    for key, text in extra_specs.items():
        if not key.startswith('docker:'):
            continue
        meaning = flavor_parser(key)
        if meaning is None:
            families = [f'{prefix}<NAME>' for prefix in _FLAVOR_FAMILIES]
            raise _unknown(source, key, [*_FLAVOR, *families])
        field, name, parser = meaning
        value = _parsed(source, key, text, parser)
        if name is None:
            found[field] = value
        else:
            found.setdefault(field, {})[name] = value
    return Privileges(**found)
