# Usage: sh beat.sh LINES DONE SECONDS
#
# Appends a line to LINES every so many seconds, with who writes it and when, until the file DONE is there.
say() { echo "$CAPSTAN_REQUEST_ID $CAPSTAN_JOB_ID $CAPSTAN_TRY $CAPSTAN_NODE_ID $1 $(date +%s%N)" >>"$lines"; }
lines=$1
say start
until [ -e "$2" ]; do
  sleep "$3"
  say beat
done
say end
