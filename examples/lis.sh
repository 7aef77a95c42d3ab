#!/bin/sh
# A laboratory system talks to histoserve with curl: examples/lis.sh SLIDE ACCESSION
#
# Environment: HISTOSERVE_URL, HISTOSERVE_KEY; HISTOSERVE_MODEL (nuclei), LIS_FOLDER (.). Needs curl, sha256sum and
# python3 for its JSON module. Prints the scores; leaves ACCESSION.png. Research use only. Not for diagnosis.
set -eu

slide=$1
accession=$2
case $accession in *[!A-Za-z0-9._-]*) echo "The accession has to be letters, digits, '.', '_' and '-'." >&2; exit 1 ;; esac
model=${HISTOSERVE_MODEL:-nuclei}
folder=${LIS_FOLDER:-.}
api=$HISTOSERVE_URL/v1
sha256=$(sha256sum "$slide" | cut -d ' ' -f 1)
# One key for one order: sent twice, it is still one slide and one job.
key=lis-$accession-$sha256
answer=$(mktemp)
head=$(mktemp)
options=$(mktemp)
trap 'rm -f "$answer" "$head" "$options"' EXIT
# The key goes through a file: a command line can be seen by everybody on the machine.
printf 'header = "Authorization: Bearer %s"\n' "$HISTOSERVE_KEY" > "$options"

# call METHOD PATH [curl options]: the status; the body is in $answer. curl repeats while the service is away.
call() {
  method=$1 path=$2
  shift 2
  curl --silent --show-error --config "$options" --retry 6 --retry-connrefused --output "$answer" \
    --dump-header "$head" --write-out '%{http_code}' --request "$method" "$@" "$HISTOSERVE_URL$path"
}

# pick NAME[.NAME]: one value of the document in $answer; empty for null.
pick() {
  python3 -c '
import json, sys
value = json.load(open(sys.argv[1]))
for name in sys.argv[2].split("."):
    value = value.get(name) if isinstance(value, dict) else None
print("" if value is None else value)' "$answer" "$1"
}

# expect STATUS...: go on where the last status is one of these; else say what the problem document says, and end.
expect() {
  for wanted in "$@"; do
    [ "$status" = "$wanted" ] && return 0
  done
  echo "$(pick title). $(pick detail) $(pick remedy)" >&2
  exit 1
}

json='Content-Type: application/json'
ids="{\"accession\": \"$accession\", \"placer_order\": \"PO-$accession\"}"

# 1. Send the slide. A file of many gigabytes goes in pieces (tus; see lis_httpx.py): this breaks off whole or not at all.
name=$(python3 -c 'import sys, urllib.parse, os; print(urllib.parse.quote(os.path.basename(sys.argv[1]), safe=""))' "$slide")
query="filename=$name&sha256=$sha256&accession=$accession"
status=$(call PUT "/v1/slides/content?$query" --header 'Expect:' --upload-file "$slide")
expect 200 202
slide_id=$(pick id)

# 2. Order the analysis.
body="{\"slide_id\": \"$slide_id\", \"model\": \"$model\", \"ids\": $ids}"
status=$(call POST /v1/jobs --header "$json" --header "Idempotency-Key: $key" --data "$body")
expect 202
job_id=$(pick id)

# 3. Wait. Each question is answered when something changed, or after 30 s with 304.
tag='"none"'
while :; do
  status=$(call GET "/v1/jobs/$job_id?wait=30" --header "If-None-Match: $tag")
  expect 200 304
  if [ "$status" = 200 ]; then
    tag=$(sed -n 's/^[Ee][Tt][Aa][Gg]: *\(.*\)$/\1/p' "$head" | tr -d '\r')
    state=$(pick state)
    echo "$job_id $state" >&2
    case $state in
      succeeded) break ;;
      failed | cancelled)
        echo "$(pick problem.title). $(pick problem.detail) $(pick problem.remedy)" >&2
        exit 1 ;;
    esac
  fi
done

# 4. Take the result.
status=$(call GET "/v1/jobs/$job_id/results/overview.png")
expect 200
cp "$answer" "$folder/$accession.png"
status=$(call GET "/v1/jobs/$job_id/results/scores.json")
expect 200
python3 -m json.tool "$answer"
