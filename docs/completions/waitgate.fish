# Completion of waitgate for fish. Generated: do not edit.
# Copy this file to ~/.config/fish/completions/waitgate.fish.

# Whether the word belongs to waitgate, and not to the command after --.
function __waitgate_own
    not contains -- -- (commandline -opc)
end

# What fish knows of the command after --.
function __waitgate_command
    set -l words (commandline -opc)
    set -l at (contains -i -- -- $words)
    set -l before (string escape -- $words[(math $at + 1)..])
    complete -C (string join ' ' -- $before (commandline -ct))
end

function __waitgate_target
    printf '%s\t%s\n' \
        'dns:' 'the name has an address' \
        'tcp:' 'a connection is accepted and stays open' \
        'tls:' 'the TLS handshake ends and the certificate is verified' \
        'unix:' 'a unix socket accepts a connection, which stays open' \
        'file:' 'the file exists' \
        'http:' 'GET is answered with 200 to 399; also https:' \
        'https:' 'GET is answered with 200 to 399; also https:' \
        'http+unix:' 'the same over a unix socket' \
        'k8s:' 'the object is ready: a Job complete, a rollout done, …' \
        'postgres:' 'the server accepts connections' \
        'postgresql:' 'the server accepts connections' \
        'mysql:' 'a MySQL or MariaDB server accepts sessions' \
        'mariadb:' 'a MySQL or MariaDB server accepts sessions' \
        'redis:' 'the server answers PING (rediss: for TLS)' \
        'rediss:' 'the server answers PING (rediss: for TLS)' \
        'valkey:' 'the server answers PING (rediss: for TLS)' \
        'valkeys:' 'the server answers PING (rediss: for TLS)' \
        'amqp:' 'RabbitMQ answers in AMQP 0-9-1 (amqps: for TLS)' \
        'amqps:' 'RabbitMQ answers in AMQP 0-9-1 (amqps: for TLS)' \
        'grpc:' 'the health service answers SERVING (grpcs: for TLS)' \
        'grpcs:' 'the health service answers SERVING (grpcs: for TLS)' \
        'mongodb:' 'the server answers hello, and neither starts nor recovers' \
        'mongodb+srv:' 'the server answers hello, and neither starts nor recovers' \
        'kafka:' 'a broker answers (kafkas: for TLS)' \
        'kafkas:' 'a broker answers (kafkas: for TLS)' \
        'env:' 'the address is the value of the environment variable NAME'
end

complete -c waitgate -f
complete -c waitgate -n 'not __waitgate_own' -a '(__waitgate_command)'
complete -c waitgate -n __waitgate_own -a '(__waitgate_target)'
complete -c waitgate -n __waitgate_own -s t -l timeout -x -d 'Give up on all targets after this long; 0: no limit [default: 15m]'
complete -c waitgate -n __waitgate_own -l attempt-timeout -x -d 'Time limit for one attempt, including DNS and connecting [default: 3s]'
complete -c waitgate -n __waitgate_own -l connect-timeout -x -d 'Time limit for each DNS question, and for connecting to one address [default: 1.2s]'
complete -c waitgate -n __waitgate_own -l max-pause -x -d 'Longest pause between two attempts [default: 250ms to 10s, depending on the reason]'
complete -c waitgate -n __waitgate_own -l successes -x -d 'Ready answers in a row before a target counts as ready [default: 1]'
complete -c waitgate -n __waitgate_own -l initial-delay -x -d 'Sleep before the first attempt'
complete -c waitgate -n __waitgate_own -l settle -x -d 'After success, sleep a random time up to this, so that many Pods do not start at once'
complete -c waitgate -n __waitgate_own -l parallel -d 'Probe all targets at once'
complete -c waitgate -n __waitgate_own -l once -d 'One attempt for each target, in order, up to the first that is not ready (--parallel: all)'
complete -c waitgate -n __waitgate_own -l dry-run -d 'Print the plan, secrets hidden, and probe nothing'
complete -c waitgate -n __waitgate_own -l ca-file -r -F -d 'More trusted roots for TLS; the Mozilla roots are built in'
complete -c waitgate -n __waitgate_own -l insecure -d 'Do not verify certificates'
complete -c waitgate -n __waitgate_own -l termination-log -r -F -d 'File for the reason when not ready; an empty value turns it off [default: /dev/termination-log]'
complete -c waitgate -n __waitgate_own -l log-format -x -a 'text json' -d 'text or json (one object on each line) [default: text]'
complete -c waitgate -n __waitgate_own -s q -l quiet -d 'Print only the verdict of a failed run'
complete -c waitgate -n __waitgate_own -s v -l verbose -d 'Print a line for each attempt'
complete -c waitgate -n __waitgate_own -l color -x -a 'auto always never' -d 'auto, always or never [default: auto]'

function __waitgate_explain
    printf '%s\t%s\n' \
        'local.descriptors' 'No file descriptor is left for a socket or a file.' \
        'local.file' 'A file that the target names cannot be read or used.' \
        'local.missing' 'There is nothing at the path of the file or the unix socket.' \
        'local.socket' 'This machine did not let waitgate make or use a socket.' \
        'resolve.no-such-name' 'The name does not exist under any of the names that were asked.' \
        'resolve.no-addresses' 'The name exists and has no address, or no record of the type that was asked for.' \
        'resolve.trouble' 'The DNS did not give a usable answer: SERVFAIL, REFUSED, garbage.' \
        'resolve.timeout' 'No nameserver answered in time.' \
        'resolve.unreachable' 'No nameserver could be reached.' \
        'connect.refused' 'Every address refused the connection.' \
        'connect.timeout' 'Nothing came back to the connection attempt.' \
        'connect.unreachable' 'There is no route, or the host did not answer on its link.' \
        'connect.denied' 'A rule on this machine forbids the connection.' \
        'tls.timeout' 'The TLS handshake did not end in time.' \
        'tls.closed' 'The connection ended during the TLS handshake.' \
        'tls.not-tls' 'The server does not speak TLS.' \
        'tls.unsupported' 'The server says that it does not support TLS.' \
        'tls.unknown-issuer' 'The certificate\'s issuer is not trusted.' \
        'tls.wrong-name' 'The certificate is for another name.' \
        'tls.expired' 'The certificate has expired.' \
        'tls.not-yet-valid' 'The certificate is not valid yet.' \
        'tls.client-certificate' 'The server wants a client certificate, or another one.' \
        'tls.failed' 'The handshake failed in another way.' \
        'protocol.timeout' 'The connection was accepted, and no complete answer came.' \
        'protocol.closed' 'The connection was accepted and then closed.' \
        'protocol.other' 'The server answered in another protocol than the target\'s kind.' \
        'protocol.tls-wanted' 'The server wants TLS, and waitgate spoke plain text.' \
        'protocol.too-large' 'The answer is larger than waitgate reads.' \
        'protocol.not-accepting' 'The server is there and does not accept sessions: it starts, recovers or shuts down.' \
        'protocol.too-many-clients' 'The server has no connection left for this client.' \
        'protocol.blocked' 'The server blocks this client\'s address, or the user\'s account, after failures.' \
        'protocol.pooler' 'A pooler answered, and its server did not.' \
        'protocol.password' 'The server refused the password, or asks for one that the target does not give.' \
        'protocol.not-authorized' 'The server does not allow this login: the user, the host or the database is not permitted.' \
        'protocol.forbidden' 'The server knows this client and does not permit what the target asks for.' \
        'protocol.auth-method' 'The server asks for a way to log in that the target forbids or that waitgate does not have.' \
        'protocol.no-database' 'The server does not have the database or the virtual host.' \
        'protocol.error' 'The server answered with an error of its own.' \
        'expect.timeout' 'The answer did not end in time.' \
        'expect.status' 'The HTTP status is not one of the expected ones.' \
        'expect.redirect' 'A redirect cannot be followed.' \
        'expect.header' 'The answer lacks a header, or has another value in it.' \
        'expect.body' 'The content is not the expected one: a text, a match or a JSON value.' \
        'expect.file' 'The file is there, and its type or size is not the expected one.' \
        'expect.records' 'There are fewer records or addresses than expected.' \
        'expect.value' 'The expected record or address is not one of those found.' \
        'expect.quorum' 'Fewer addresses accept than expected.' \
        'expect.banner' 'The banner is not the expected one.' \
        'expect.certificate' 'The server\'s certificate is valid for less time than expected.' \
        'expect.role' 'The server has another role than expected: a standby instead of a primary, or a primary instead of a standby.' \
        'expect.state' 'The server answers, and it or its cluster is not in the expected state.' \
        'expect.query' 'The query\'s answer is not the expected one.' \
        'expect.missing' 'The server answers, and what the target names is not there.' \
        'expect.gone' 'The target is still there, and it is expected to be gone.'
end

complete -c waitgate -n __waitgate_own -l explain -x -a '(__waitgate_explain)' -d 'Print what a reason\'s code means and what to look at'
complete -c waitgate -n __waitgate_own -s h -l help -d 'Print this help'
complete -c waitgate -n __waitgate_own -s V -l version -d 'Print the version'
