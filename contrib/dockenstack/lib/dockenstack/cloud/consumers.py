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

"""Exit 0 if every queue has a consumer (run by the cloud's Python).

Usage: consumers.py ADDRESS QUEUE...
"""

import os
import sys

import amqp


def main(address: str, *queues: str) -> int:
    password = os.environ['DOCKENSTACK_AMQP_PASSWORD']
    try:
        with amqp.Connection(address, userid='dockenstack',
                             password=password, connect_timeout=2) as link:
            channel = link.channel()
            for queue in queues:
                answer = channel.queue_declare(queue, passive=True)
                if not answer.consumer_count:
                    return 1
    except (OSError, amqp.AMQPError):
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
