# Sourced by scripts/demo and scripts/test: makes .venv with the newest Python that fits and installs eino into it.
# Works on bash 3.2 (macOS) and needs nothing but a Python 3.11 or newer.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$root/.venv"

say() { printf 'eino: %s\n' "$*" >&2; }

die() {
    printf 'eino: error: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
    exit 1
}

# True when "$@" is a Python new enough for eino.
new_enough() { "$@" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# Prints the Python to build with. A name on PATH may be a pyenv shim without a version behind it, so each one is run.
find_python() {
    local candidate without_venv=""
    if [ -n "${EINO_PYTHON:-}" ]; then
        new_enough "$EINO_PYTHON" || die "EINO_PYTHON='$EINO_PYTHON' does not run, or is older than Python 3.11."
        printf '%s\n' "$EINO_PYTHON"
        return
    fi
    for candidate in python3.13 python3.12 python3.11 python3 python \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[1-9]*/bin/python; do
        new_enough "$candidate" || continue
        if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return
        fi
        without_venv=$candidate
    done
    [ -z "$without_venv" ] || die "'$without_venv' cannot make virtual environments: its venv or ensurepip module is missing." \
        "On Debian and Ubuntu install it with:  sudo apt-get install python3-venv" \
        "or name another Python:  EINO_PYTHON=/path/to/python3.13 $0"
    die "eino needs Python 3.11 or newer, and none was found (tried python3.13, python3.12, python3.11, python3, python, pyenv)." \
        "Install one, for example from https://www.python.org/downloads/, or name it:  EINO_PYTHON=/path/to/python3.13 $0"
}

# Runs "$@" silently; shows what it printed when it fails.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 || status=$?
    [ "$status" -eq 0 ] || cat "$log" >&2
    rm -f "$log"
    return "$status"
}

make_venv() {
    local python
    python=$(find_python) || exit 1
    say "making .venv with $("$python" -c 'import platform; print("Python", platform.python_version())') ($python)"
    quietly "$python" -m venv --clear "$venv" || die "'$python' could not make $venv; the reason stands above."
}

# ensure_environment NAME PIP_ARGUMENTS...: after it, .venv holds what the arguments name.
# A stamp with the checksum of pyproject.toml makes the second run start at once. What `test` installs holds all the rest.
ensure_environment() {
    local name=$1 state stamp
    shift
    state="$root $(cksum <"$root/pyproject.toml")"
    for stamp in "$venv/.eino-$name" "$venv/.eino-test"; do
        if [ "$(cat "$stamp" 2>/dev/null)" = "$state" ] && new_enough "$venv/bin/python"; then
            return
        fi
    done
    if ! new_enough "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        make_venv
    fi
    say "installing eino and its dependencies from PyPI (a minute the first time)"
    local seconds_before=$SECONDS
    # Dependency groups need pip 25.1; the one that Python ships is often older.
    quietly "$venv/bin/python" -m pip install --quiet --upgrade "pip>=25.1" &&
        (cd "$root" && quietly "$venv/bin/python" -m pip install --quiet "$@") ||
        die "the installation failed; the reason stands above." \
            "Check that PyPI can be reached (pip's PIP_INDEX_URL names a mirror), then run $0 again."
    printf '%s' "$state" >"$venv/.eino-$name"
    say "installed in $((SECONDS - seconds_before)) s"
}
