# Usage: sh hold.sh FOLDER
#
# The first try notes its process and that of a child in FOLDER/pids, and stays. A later one ends well at once.
if [ "$CAPSTAN_TRY" -gt 1 ]; then exit 0; fi
echo holding >>"$CAPSTAN_STATUS"
sleep 600 &
echo $$ $! >"$1/pids.new"
mv "$1/pids.new" "$1/pids"
wait
