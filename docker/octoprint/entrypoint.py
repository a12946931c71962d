#!/usr/bin/env python3
"""Starts a real OctoPrint with its bundled virtual printer, ready to be commanded.

OctoPrint wants a person to click through a wizard before it takes a command. This script writes
the two files that the wizard would have written, where they are missing, and then becomes
OctoPrint. The container runs it, and so do Printyard's own tests, so that what is offered to
try out is what the product is proved against.

Environment:
  OCTOPRINT_API_KEY   the key of the user `admin` (required)
  OCTOPRINT_PASSWORD  the password of `admin`; without it nobody can log in at the page
  OCTOPRINT_BASEDIR   where settings and files live (default: /octoprint)
  OCTOPRINT_HOST      address to listen on (default: 0.0.0.0)
  OCTOPRINT_PORT      port to listen on (default: 5000)

With the argument `healthcheck` it asks the OctoPrint that runs already, and fails where that does not answer its key.
"""

import json
import os
import pathlib
import secrets
import sys
import urllib.request

# Plugins that ask the internet, or the Raspberry Pi underneath, about something.
UNNEEDED_PLUGINS = [
    "achievements",
    "announcements",
    "discovery",
    "errortracking",
    "file_check",
    "firmware_check",
    "health_check",
    "pi_support",
    "pluginmanager",
    "softwareupdate",
    "tracking",
]


def config():
    """The settings: no wizard, no network, and a virtual printer that errs only when told to."""
    return {
        "server": {
            # While this is true OctoPrint refuses every write.
            "firstRun": False,
            # Without this, being killed while starting means safe mode at the next start.
            "ignoreIncompleteStartup": True,
            "onlineCheck": {"enabled": False},
            "pluginBlacklist": {"enabled": False},
            "pythonEolCheck": {"enabled": False},
        },
        "plugins": {
            "_disabled": UNNEEDED_PLUGINS,
            # The default list loses an `ok` and asks for resends in every job, which costs 10 s each.
            "virtual_printer": {"enabled": True, "simulated_errors": []},
            # Without `_config_version` a migration from the old, empty section wipes the rest.
            "classicwebcam": {
                "_config_version": 1,
                "stream": "/webcam/?action=stream",
                "snapshot": "http://127.0.0.1:8080/?action=snapshot",
            },
        },
        # OctoPrint 1.x reads `serial`, 2.x reads `printerConnection`; each ignores the other.
        "serial": {"port": "VIRTUAL", "baudrate": 115200, "autoconnect": True},
        "printerConnection": {
            "autoconnect": True,
            "preferred": {"connector": "serial", "parameters": {"port": "VIRTUAL", "baudrate": 115200}},
        },
    }


def users(api_key, password):
    """One user, `admin`, whose key opens everything. The global key is gone in OctoPrint 2."""
    try:
        from libpass.hash import argon2
    except ImportError:
        from passlib.hash import argon2
    return {
        "_version": 2,
        "admin": {
            "password": argon2.hash(password or secrets.token_urlsafe(32)),
            "active": True,
            "groups": ["admins", "users"],
            "permissions": [],
            "apikey": api_key,
            "settings": {},
            "roles": ["user", "admin"],
        },
    }


def write_if_missing(path, make):
    """Writes JSON, which is YAML too. What OctoPrint itself saved since then is left as it is."""
    if not path.exists():
        path.write_text(json.dumps(make(), indent=2))
        path.chmod(0o600)


def healthcheck(api_key):
    """Succeeds only if OctoPrint itself answers: while it starts, a stand-in listens on its port."""
    port = os.environ.get("OCTOPRINT_PORT", "5000")
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/version", headers={"X-Api-Key": api_key})
    try:
        with urllib.request.urlopen(request, timeout=4) as response:
            response.read()
    except Exception as error:
        sys.exit(f"OctoPrint does not answer: {error}")


def main():
    api_key = os.environ.get("OCTOPRINT_API_KEY")
    if not api_key:
        sys.exit("OCTOPRINT_API_KEY is not set: give the key that Printyard will use.")
    if sys.argv[1:] == ["healthcheck"]:
        return healthcheck(api_key)
    basedir = pathlib.Path(os.environ.get("OCTOPRINT_BASEDIR", "/octoprint"))
    basedir.mkdir(parents=True, exist_ok=True)
    write_if_missing(basedir / "config.yaml", config)
    write_if_missing(basedir / "users.yaml", lambda: users(api_key, os.environ.get("OCTOPRINT_PASSWORD")))

    command = [sys.executable, "-m", "octoprint", "serve", "--basedir", str(basedir)]
    command += ["--host", os.environ.get("OCTOPRINT_HOST", "0.0.0.0")]
    command += ["--port", os.environ.get("OCTOPRINT_PORT", "5000")]
    if os.geteuid() == 0:
        command.append("--iknowwhatimdoing")  # it refuses to run as root otherwise
    sys.stdout.flush()
    os.execv(sys.executable, command)  # the same process id, so that signals reach OctoPrint


if __name__ == "__main__":
    main()
