#!/usr/bin/env python3
"""Starts a real OctoPrint with its bundled virtual printer, ready to take commands.

OctoPrint takes no command until a person has clicked through its setup wizard. This script writes
the two files that the wizard writes, if they are missing, and then replaces itself with OctoPrint.
The container and Printyard's own tests both run this script, so the tests check the same OctoPrint
that users try.

Environment:
  OCTOPRINT_API_KEY   the key of the user `admin` (required)
  OCTOPRINT_PASSWORD  the password of `admin`; without it, the web page accepts no login
  OCTOPRINT_BASEDIR   folder of settings and files (default: /octoprint)
  OCTOPRINT_HOST      address to listen on (default: 0.0.0.0)
  OCTOPRINT_PORT      port to listen on (default: 5000)

With the argument `healthcheck` it sends a request to the running OctoPrint, and fails if OctoPrint does not accept the key.
"""

import json
import os
import pathlib
import secrets
import sys
import urllib.request

# Plugins that send requests to the internet, or query the Raspberry Pi below.
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
    """Returns the settings: no wizard, no network, and a virtual printer without simulated errors."""
    return {
        "server": {
            # While this is true, OctoPrint refuses every write.
            "firstRun": False,
            # Without this, OctoPrint starts in safe mode after it was killed during a start.
            "ignoreIncompleteStartup": True,
            "onlineCheck": {"enabled": False},
            "pluginBlacklist": {"enabled": False},
            "pythonEolCheck": {"enabled": False},
        },
        "plugins": {
            "_disabled": UNNEEDED_PLUGINS,
            # The default errors (a lost `ok`, requests to resend) happen in every job and cost 10 s each.
            "virtual_printer": {"enabled": True, "simulated_errors": []},
            # Without `_config_version`, OctoPrint migrates the old, empty section and deletes the rest.
            "classicwebcam": {
                "_config_version": 1,
                "stream": "/webcam/?action=stream",
                "snapshot": "http://127.0.0.1:8080/?action=snapshot",
            },
        },
        # OctoPrint 1.x reads `serial` and ignores `printerConnection`; 2.x does the opposite.
        "serial": {"port": "VIRTUAL", "baudrate": 115200, "autoconnect": True},
        "printerConnection": {
            "autoconnect": True,
            "preferred": {"connector": "serial", "parameters": {"port": "VIRTUAL", "baudrate": 115200}},
        },
    }


def users(api_key, password):
    """Returns one user, `admin`, whose key has all permissions. OctoPrint 2 has no global key."""
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
    """Writes JSON, which is also valid YAML. Keeps an existing file, since OctoPrint saves its changes there."""
    if not path.exists():
        path.write_text(json.dumps(make(), indent=2))
        path.chmod(0o600)


def healthcheck(api_key):
    """Succeeds only if OctoPrint itself answers. During a start, a placeholder server listens on its port."""
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
        command.append("--iknowwhatimdoing")  # without it, OctoPrint refuses to run as root
    sys.stdout.flush()
    os.execv(sys.executable, command)  # keeps the process id, so that signals reach OctoPrint


if __name__ == "__main__":
    main()
