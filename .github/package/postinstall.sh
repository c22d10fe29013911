#!/bin/sh
# After the package is installed, or upgraded: $2 is the version before.
set -e
if ! getent passwd holdfast >/dev/null; then
  useradd --system --user-group --no-create-home --home-dir /var/lib/holdfast --shell /usr/sbin/nologin holdfast
fi
if [ "$1" = configure ] && [ -z "$2" ]; then
  chown root:holdfast /etc/holdfast/holdfast.yaml
  chmod 0640 /etc/holdfast/holdfast.yaml
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  if [ -n "$2" ]; then
    systemctl try-restart holdfast.service || true
  else
    echo "holdfast is installed and not started: edit /etc/holdfast/holdfast.yaml, then run systemctl enable --now holdfast"
  fi
fi
