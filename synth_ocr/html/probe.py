"""Whether a running browser can reach the network: it is asked to, and a listener on loopback hears or does not.

The settings that cut a browser off can be overruled by a policy of the machine's administrator, or ignored by another
version. The tests try every channel; this tries one of each kind: a TCP connection, WebRTC over UDP and WebRTC over TCP.
"""

import select
import socket
from contextlib import suppress

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Error

SECONDS = 5
WEBRTC = """([tcp, udp, seconds]) => new Promise(async (done) => {
  const connection = new RTCPeerConnection({ iceServers: [
    { urls: `stun:127.0.0.1:${udp}` },
    { urls: `turn:127.0.0.1:${tcp}?transport=tcp`, username: "a", credential: "b" } ] });
  connection.createDataChannel("a");
  connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && done();
  setTimeout(done, seconds * 1000);
  await connection.setLocalDescription(await connection.createOffer());
})"""


def reaches_network(chromium: Chromium) -> bool:
    """Whether anything arrives at listeners on loopback. The browser's requests must not be intercepted yet."""
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("127.0.0.1", 0))
        tab = chromium.new_page()
        tab.set_default_timeout(SECONDS * 1000)
        tab.evaluate(WEBRTC, [tcp.getsockname()[1], udp.getsockname()[1], SECONDS])
        with suppress(Error):  # the connection is refused or never answered
            tab.goto(f"http://127.0.0.1:{tcp.getsockname()[1]}/")
        tab.context.close()
        return bool(select.select([tcp, udp], [], [], 0)[0])
