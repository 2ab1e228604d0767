# shellcheck shell=bash
# What the suites written in bash share: one line for each check, and a count.

passed=0
failed=0

# check NAME COMMAND...: runs the command; its output is shown only if it fails.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1 </dev/null); then
        passed=$((passed + 1))
        echo "ok    $name"
    else
        failed=$((failed + 1))
        echo "FAIL  $name"
        printf '%s\n' "$output" | sed 's/^/      /'
    fi
}

# The closing line. A suite that checked nothing has not passed.
finish() {
    echo "$passed passed, $failed failed"
    ((failed == 0 && passed > 0))
}

# until_true SECONDS COMMAND...: polls the command until it succeeds.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || return 1
        sleep 0.05
    done
}
