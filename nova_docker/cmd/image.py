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

"""nova-docker-image: takes container images to Glance and back."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from collections.abc import Iterator
import functools
import html
import os
import pathlib
import sys
from typing import Any
from typing import Final

from keystoneauth1 import exceptions as keystone_exceptions
import openstack
from openstack import exceptions

from nova_docker.cmd import contents
from nova_docker.cmd import enginesocket
from nova_docker.cmd import imageservice
from nova_docker.cmd import interruption
from nova_docker.cmd import progress
from nova_docker.cmd import transfer
from nova_docker.engine import client
from nova_docker import errors
from nova_docker.images import limits

_DESCRIPTION: Final = """\
Take container images to an OpenStack cloud, and back.

"push" brings an image of the local Docker Engine, or an archive in a file, to
Glance, with the formats and properties that a compute host with a Docker
Engine needs. "pull" brings a Glance image to the local engine.
"""
_EPILOG: Final = """\
examples:
  nova-docker-image --os-cloud mycloud push nginx
  nova-docker-image push --as web registry.example.org/team/web:1.2
  nova-docker-image push --file rootfs.tar.gz mine \\
      --property os_command_line=/sbin/start
  nova-docker-image pull web --as web:from-glance

environment:
  OS_CLOUD, OS_CLIENT_CONFIG_FILE, OS_AUTH_URL and so on
              which cloud, as for every client of OpenStack
  DOCKER_HOST the engine's socket, as unix:///path

files:
  clouds.yaml, in the current directory, ~/.config/openstack or /etc/openstack

exit status:
  0    done
  1    not done, and nothing is left of it; standard error says why
  2    wrong arguments
  130  interrupted, and nothing is left of it

see also: openstack(1), docker-save(1), docker-load(1)
"""
_PUSH: Final = """\
Have an image of the local engine in Glance, and print its id.

What Glance has already is not sent again: only changed properties are. What
was pushed under the same name before is hidden from lists and from names, and
servers that were made of it go on.
"""
_PULL: Final = """\
Have a Glance image in the local engine, and print its name there.

Its checksum and each of its layers are verified. Tags in it mean nothing. A
name that you have not given, but Glance, is not taken from another image.
"""


def _property(text: str) -> tuple[str, str]:
    key, equals, value = text.partition('=')
    if not key or not equals:
        raise argparse.ArgumentTypeError(f'{text!r} is not KEY=VALUE')
    return key, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='nova-docker-image', description=_DESCRIPTION, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--os-cloud', metavar='NAME', help='the cloud, of clouds.yaml')
    parser.add_argument(
        '--docker-url', metavar='URL',
        default=os.environ.get('DOCKER_HOST') or 'unix:///var/run/docker.sock',
        help="the engine's socket (default: %(default)s)")
    parser.add_argument(
        '-q', '--quiet', action='store_true', help='show no progress')
    commands = parser.add_subparsers(required=True, metavar='push|pull')
    _add_push(commands.add_parser(
        'push', help='from the engine or a file to Glance',
        description=_PUSH, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter))
    _add_pull(commands.add_parser(
        'pull', help='from Glance to the engine', description=_PULL,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter))
    return parser


def _add_push(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_push)
    parser.add_argument('name', metavar='NAME[:TAG]',
                        help='an image of the engine')
    parser.add_argument(
        '--as', metavar='NAME', dest='as_name',
        help='what Glance calls it (default: the same with a hyphen for each '
             'colon, as no client of Glance finds a name with a colon: '
             'nginx:1.25 is nginx-1.25)')
    parser.add_argument(
        '--file', type=pathlib.Path, metavar='ARCHIVE',
        help='take it from this file, which docker save wrote, or which is '
             'an OCI image layout or a root file system in a tar archive, '
             'maybe compressed with gzip or zstd; it is read more than once; '
             'NAME is then what Glance calls it')
    parser.add_argument(
        '--min-disk', type=int, metavar='GIB',
        help='GiB of root disk that a flavor must have (default: the size '
             'of the image, rounded up)')
    parser.add_argument(
        '--min-ram', type=int, metavar='MIB',
        help='MiB of memory that a flavor must have (default: '
             f'{transfer.MIN_RAM}, the least that an engine gives)')
    parser.add_argument(
        '--visibility', choices=('private', 'shared', 'community', 'public'),
        help='who sees it (default: private)')
    parser.add_argument(
        '--property', type=_property, action='append', default=[],
        metavar='KEY=VALUE', dest='properties',
        help='a further property; can be given several times')


def _add_pull(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_pull)
    parser.add_argument('name', metavar='IMAGE',
                        help='name or id of a Glance image, or the name that '
                             'it was pushed by')
    parser.add_argument(
        '--as', metavar='NAME[:TAG]', dest='as_name',
        help='what the engine calls it (default: IMAGE if that has a tag, '
             'else as Glance does)')


def _report(quiet: bool, label: str, total: int,
            pieces: Iterable[bytes]) -> Iterator[bytes]:
    return (iter(pieces) if quiet
            else progress.Bar(label, total).over(pieces))


def _push(arguments: argparse.Namespace, engine: client.Engine,
          service: imageservice.ImageService,
          _: interruption.Interruption) -> str:
    report = functools.partial(_report, arguments.quiet)
    if arguments.file:
        content = contents.of_file(arguments.file, functools.partial(
            report, f'check {arguments.name}'))
    else:
        content = contents.of_engine(engine, arguments.name)
    asked = {key: getattr(arguments, key)
             for key in ('min_disk', 'min_ram', 'visibility')
             if getattr(arguments, key) is not None}
    image_id, sent = transfer.push(
        content, service,
        arguments.as_name or imageservice.findable(arguments.name),
        {**asked, **dict(arguments.properties)}, report)
    if not sent and not arguments.quiet:
        sys.stderr.write(f'{arguments.name}: Glance has it already\n')
    return image_id


def _pull(arguments: argparse.Namespace, engine: client.Engine,
          service: imageservice.ImageService,
          interrupted: interruption.Interruption) -> str:
    return transfer.pull(engine, service, arguments.name, arguments.as_name,
                         functools.partial(_report, arguments.quiet),
                         interrupted.once_sent)


def _said(error: Any, docker_url: str) -> str:
    """Return an error as one sentence."""
    if isinstance(error, limits.Unacceptable):
        words = error.reason
    elif isinstance(error, errors.EngineUnavailable):
        words = enginesocket.trouble(
            docker_url, '--docker-url or DOCKER_HOST', 'log in again') or (
            f'Docker Engine does not answer at {docker_url}: {error.message}')
    elif isinstance(error, errors.EngineError):
        words = f'Docker Engine: {error.message}'
    elif isinstance(error, keystone_exceptions.MissingRequiredOptions):
        words = (f'{error}: name a cloud of clouds.yaml with --os-cloud or '
                 'OS_CLOUD')
    else:
        words = html.unescape(str(getattr(error, 'details', None) or error))
    return ' '.join(words.split())


def main(given: list[str] | None = None) -> int:
    """Run the command.

    :param given: its arguments; those of this process by default
    :returns: its exit status
    """
    arguments = _parser().parse_args(given)
    try:
        with (interruption.Interruption() as interrupted,
              openstack.connect(cloud=arguments.os_cloud) as connection):
            sys.stdout.write('{}\n'.format(arguments.run(
                arguments, client.Engine(arguments.docker_url),
                imageservice.ImageService(connection), interrupted)))
    except KeyboardInterrupt:
        sys.stderr.write('nova-docker-image: interrupted\n')
        return 130
    except (limits.Unacceptable, errors.EngineError, OSError,
            exceptions.SDKException,
            keystone_exceptions.ClientException) as error:
        sys.stderr.write(limits.printable(
            f'nova-docker-image: {arguments.name}: '
            f'{_said(error, arguments.docker_url)}') + '\n')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
