# shellcheck shell=bash
# What the suites written in bash share: one line for each check, and a count.

passed=0
failed=0

# check NAME COMMAND...: runs the command. Its last line is shown as a figure
# where it succeeds, and the whole output where it fails.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1 </dev/null); then
        passed=$((passed + 1))
        output=${output##*$'\n'}
        echo "ok    $name${output:+: $output}"
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
