#!/bin/sh
# Refreshes the few third-party files of the portal from npm and checks them against tools/vendor.sha256.
# Nothing is fetched when the portal is installed or run: the files are committed.
#
#   tools/vendor.sh           fetch the pinned versions, refuse a file whose checksum differs
#   tools/vendor.sh --update  fetch and rewrite tools/vendor.sha256 (after changing a version below: read the diff)
set -eu

HTMX=2.0.11
ICONS=1.13.1
ICON_NAMES="activity archive arrow-left-right arrow-repeat arrow-right bar-chart box-arrow-right box-seam building
buildings calendar-event camera-video chat-left-text check-circle check-lg clipboard clock clock-history
display download exclamation-octagon exclamation-triangle eye-slash file-earmark-arrow-down filter geo-alt
hdd-network hourglass-split house-door inbox info-circle journal-text key laptop list lock mortarboard
pause-fill pc-display pencil person-check phone play-fill plus-lg printer puzzle qr-code question-circle robot
router search send shield-check shield-exclamation slash-circle tablet ticket-detailed tools wifi-off x-circle"

cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent --ignore-scripts "htmx.org@$HTMX" "bootstrap-icons@$ICONS" >/dev/null)

static=dashboards/portal/static/vendor
icons=dashboards/portal/templates/icons
mkdir -p "$static" "$icons"
tar -xzf "$work/htmx.org-$HTMX.tgz" -C "$work"
cp "$work/package/dist/htmx.min.js" "$static/htmx.min.js"
cp "$work/package/LICENSE" "$static/htmx.LICENSE"
rm -rf "$work/package"
tar -xzf "$work/bootstrap-icons-$ICONS.tgz" -C "$work"
cp "$work/package/LICENSE" "$icons/LICENSE"
for name in $ICON_NAMES; do
    cp "$work/package/icons/$name.svg" "$icons/$name.svg"
done

if [ "${1:-}" = "--update" ]; then
    sha256sum "$static"/* "$icons"/* >tools/vendor.sha256
else
    sha256sum --check --quiet tools/vendor.sha256
fi
