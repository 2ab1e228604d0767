complete -c waitgate -s t -l timeout -d 'Give up on everything after this long; 0 waits for ever [default: 15m]' -r
complete -c waitgate -l attempt-timeout -d 'Bound on one attempt, resolving and connecting included [default: 3s]' -r
complete -c waitgate -l connect-timeout -d 'Bound on each DNS question, and on connecting to one address [default: 1s]' -r
complete -c waitgate -l max-pause -d 'Longest pause between two attempts [default: 250ms to 10s, by reason]' -r
complete -c waitgate -l successes -d 'Ready answers in a row before a target counts [default: 1]' -r
complete -c waitgate -l initial-delay -d 'Sleep before the first attempt' -r
complete -c waitgate -l settle -d 'Once ready, sleep a random part of this, so that a fleet does not start in step' -r
complete -c waitgate -l ca-file -d 'More roots for https: and postgres:; the Mozilla roots are built in' -r
complete -c waitgate -l termination-log -d 'Where to leave the reason when not ready; empty: nowhere [default: /dev/termination-log]' -r
complete -c waitgate -l log-format -d 'text, or json: an object a line [default: text]' -r
complete -c waitgate -l color -d 'auto, always or never [default: auto]' -r
complete -c waitgate -l explain -d 'Print what a reason\'s code means and what to look at' -r
complete -c waitgate -l parallel -d 'Probe all targets at once'
complete -c waitgate -l once -d 'One attempt each, in order, stopping at the first that is not ready (--parallel: all)'
complete -c waitgate -l dry-run -d 'Print the plan, secrets hidden, and probe nothing'
complete -c waitgate -l insecure -d 'Do not verify certificates'
complete -c waitgate -s q -l quiet -d 'Print nothing but a failed run\'s verdict'
complete -c waitgate -s v -l verbose -d 'Print a line for each attempt'
complete -c waitgate -s h -l help -d 'Print this help'
complete -c waitgate -s V -l version -d 'Print the version'
