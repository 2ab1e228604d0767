# Completion of waitgate for bash. Generated: do not edit.
# Source this file, or copy it to /usr/share/bash-completion/completions/waitgate.

_waitgate() {
    local line=${COMP_LINE:0:COMP_POINT} list= files= word previous option part prefix head candidate i
    local -a words
    COMPREPLY=()
    # bash splits the line at = and : too. So the word is read from the line, and of each candidate the part is cut off
    # that bash does not replace.
    read -ra words <<<"$line"
    [[ $line == *[[:blank:]] ]] && words+=("")
    word=${words[${#words[@]} - 1]} previous=${words[${#words[@]} - 2]}
    head=${word%"$2"}

    # After -- there is the command to run, and its arguments.
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        [[ ${words[i]} == -- ]] || continue
        if ((i == ${#words[@]} - 2)); then
            mapfile -t COMPREPLY < <(compgen -c -- "$2")
        else
            compopt -o default
        fi
        return
    done

    option=$previous part=$word
    if [[ $word == --*=* ]]; then
        option=${word%%=*} part=${word#*=}
    fi
    case $option in
        --log-format) list='text json' ;;
        --color) list='auto always never' ;;
        --explain) list='local.descriptors local.file local.missing local.socket resolve.no-such-name resolve.no-addresses resolve.trouble resolve.timeout resolve.unreachable connect.refused connect.timeout connect.unreachable connect.denied tls.timeout tls.closed tls.not-tls tls.unsupported tls.unknown-issuer tls.wrong-name tls.expired tls.not-yet-valid tls.client-certificate tls.failed protocol.timeout protocol.closed protocol.other protocol.tls-wanted protocol.too-large protocol.not-accepting protocol.too-many-clients protocol.blocked protocol.pooler protocol.password protocol.not-authorized protocol.forbidden protocol.auth-method protocol.no-database protocol.error expect.timeout expect.status expect.redirect expect.header expect.body expect.file expect.records expect.value expect.quorum expect.banner expect.certificate expect.role expect.state expect.query expect.missing expect.gone' ;;
        --ca-file | --termination-log) files=yes ;;
        -t | --timeout | --attempt-timeout | --connect-timeout | --max-pause | --successes | --initial-delay | --settle) return ;;
        *)
            case $word in
                -*) list='-t --timeout= --attempt-timeout= --connect-timeout= --max-pause= --successes= --initial-delay= --settle= --parallel --once --dry-run --ca-file= --insecure --termination-log= --log-format= -q --quiet -v --verbose --color= --explain= -h --help -V --version' ;;
                file:* | unix:*) files=yes part=${word#*:} ;;
                *) list='dns: tcp: tls: unix: file: http: https: http+unix: k8s: postgres: postgresql: mysql: mariadb: redis: rediss: valkey: valkeys: amqp: amqps: grpc: grpcs: mongodb: mongodb+srv: kafka: kafkas: env:' ;;
            esac
            ;;
    esac
    if [[ $files ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$part")
    else
        mapfile -t COMPREPLY < <(compgen -W "$list" -- "$part")
    fi
    prefix=${word%"$part"}
    for i in "${!COMPREPLY[@]}"; do
        candidate=$prefix${COMPREPLY[i]}
        COMPREPLY[i]=${candidate#"$head"}
    done
    # An address or a value follows at once.
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[:=] ]]; then
        compopt -o nospace
    fi
}

complete -F _waitgate waitgate
