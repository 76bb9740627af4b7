#!/bin/sh
# Screenshots of a report in a real browser, for looking at: wide and on a phone, light and dark, and as printed.
#   parity/report_screenshot.sh REPORT.html OUT_DIR
# Needs Chromium (Debian: apt-get install chromium); BROWSER names another binary. A window is never narrower than 500
# pixels, so the phone is a frame of 360 pixels in a page of its own.
set -eu
report=$(realpath "${1:?usage: report_screenshot.sh REPORT.html OUT_DIR}")
mkdir -p "${2:?usage: report_screenshot.sh REPORT.html OUT_DIR}"
out=$(realpath "$2")
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT

browse() {
    "${BROWSER:-chromium}" --headless --no-sandbox --disable-gpu --hide-scrollbars --disable-background-networking \
        --allow-file-access-from-files --user-data-dir="$profile" "$@" 2>"$profile/stderr" || {
        cat "$profile/stderr" >&2
        exit 1
    }
}

frame="$profile/frame.html"
printf '<style>body{margin:0;background:#888}iframe{border:0;width:360px;height:%spx}</style><iframe src="file://%s"></iframe>' \
    "${PHONE_HEIGHT:-9000}" "$report" >"$frame"

# Blink's numbers: 0 is dark, 1 is light.
for colours in dark:0 light:1; do
    scheme="--blink-settings=preferredColorScheme=${colours#*:}"
    browse "$scheme" --window-size="1280,${HEIGHT:-5200}" --screenshot="$out/wide-${colours%:*}.png" "file://$report"
    browse "$scheme" --window-size="500,${PHONE_HEIGHT:-9000}" --screenshot="$out/phone-${colours%:*}.png" "file://$frame"
done
browse --no-pdf-header-footer --print-to-pdf="$out/print.pdf" "file://$report"
ls "$out"
