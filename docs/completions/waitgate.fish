complete -c waitgate -s t -l timeout -d 'Give up on all targets after this long; 0: no limit [default: 15m]' -r
complete -c waitgate -l attempt-timeout -d 'Time limit for one attempt, including DNS and connecting [default: 3s]' -r
complete -c waitgate -l connect-timeout -d 'Time limit for each DNS question, and for connecting to one address [default: 1.2s]' -r
complete -c waitgate -l max-pause -d 'Longest pause between two attempts [default: 250ms to 10s, depending on the reason]' -r
complete -c waitgate -l successes -d 'Ready answers in a row before a target counts as ready [default: 1]' -r
complete -c waitgate -l initial-delay -d 'Sleep before the first attempt' -r
complete -c waitgate -l settle -d 'After success, sleep a random time up to this, so that many Pods do not start at once' -r
complete -c waitgate -l ca-file -d 'More trusted roots for TLS; the Mozilla roots are built in' -r
complete -c waitgate -l termination-log -d 'File for the reason when not ready; an empty value turns it off [default: /dev/termination-log]' -r
complete -c waitgate -l log-format -d 'text or json (one object on each line) [default: text]' -r
complete -c waitgate -l color -d 'auto, always or never [default: auto]' -r
complete -c waitgate -l explain -d 'Print what a reason\'s code means and what to look at' -r
complete -c waitgate -l parallel -d 'Probe all targets at once'
complete -c waitgate -l once -d 'One attempt for each target, in order, up to the first that is not ready (--parallel: all)'
complete -c waitgate -l dry-run -d 'Print the plan, secrets hidden, and probe nothing'
complete -c waitgate -l insecure -d 'Do not verify certificates'
complete -c waitgate -s q -l quiet -d 'Print only the verdict of a failed run'
complete -c waitgate -s v -l verbose -d 'Print a line for each attempt'
complete -c waitgate -s h -l help -d 'Print this help'
complete -c waitgate -s V -l version -d 'Print the version'
