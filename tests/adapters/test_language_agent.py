"""The example for language models, against a server that speaks the protocol."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "language_agent.py"
STEPS = 4


@pytest.fixture
def endpoint():
    """The address of a stub, and the requests that it got. It thinks aloud, and turns."""
    requests: list[dict] = []

    class Stub(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append({"path": self.path, "key": self.headers["Authorization"], **body})
            reply = json.dumps({"choices": [{"message": {"content": "Going forward is no use: turn_left."}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Stub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", requests
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_behind_an_endpoint_plays(endpoint, tmp_path):
    address, requests = endpoint
    settings = {"OPENAI_BASE_URL": address, "OPENAI_MODEL": "stub", "OPENAI_API_KEY": "secret", "STEPS": str(STEPS)}
    done = subprocess.run(
        [sys.executable, EXAMPLE], cwd=tmp_path, env=os.environ | settings, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(requests) == STEPS
    last = requests[-1]
    assert (last["path"], last["model"], last["key"]) == ("/v1/chat/completions", "stub", "Bearer secret")
    roles = [message["role"] for message in last["messages"]]
    assert roles == ["system", *["user", "assistant"] * (STEPS - 1), "user"]
    assert "Your goal:" in last["messages"][0]["content"]
    assert "Your last action was turn left" in last["messages"][-1]["content"]
    assert "reward: " in done.stdout
