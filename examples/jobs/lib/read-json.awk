# Reads one JSON value from standard input and prints the text or number at a path in it.
#
#   awk -v path=args.url -f read-json.awk
#
# A path names members from the outside in, with dots between them. Exits with 1 when there is nothing at the path or null,
# with 2 when there is a list, an object or a truth value, and with 3 when the input is not JSON; the reason goes to standard error.
#
# It is here so that a plugin in shell needs no more than a stock Debian has. Where `jq` is installed, `jq -er .args.url` does the same.

{ text = text $0 "\n" }

END {
  pos = 1
  read_value("")
  skip_blanks()
  if (pos <= length(text)) refuse("something follows the value")
  if (kind == "text") print answer
  else if (kind == "other") quit(2, path " is not text")
  else quit(1, path " is not set")
}

# Reads the value at pos, whose path is `name`.
function read_value(name,    c, token) {
  skip_blanks()
  c = substr(text, pos, 1)
  if (c == "{") { read_members(name); note(name, "other", ""); return }
  if (c == "[") { read_elements(name); note(name, "other", ""); return }
  if (c == "\"") { token = read_string(); note(name, "text", token); return }
  token = substr(text, pos, 64)
  if (match(token, /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/)) { note(name, "text", take(RLENGTH)); return }
  if (match(token, /^(true|false)/)) { take(RLENGTH); note(name, "other", ""); return }
  if (match(token, /^null/)) { take(RLENGTH); note(name, "", ""); return }
  refuse("expected a value")
}

function read_members(name,    key) {
  take(1)
  if (next_is("}")) return
  do {
    skip_blanks()
    if (substr(text, pos, 1) != "\"") refuse("expected the name of a member")
    key = read_string()
    if (!next_is(":")) refuse("expected ':'")
    read_value(name == "" ? key : name "." key)
  } while (next_is(","))
  if (!next_is("}")) refuse("expected ',' or '}'")
}

# Elements have a path nobody asks for: names are not empty.
function read_elements(name) {
  take(1)
  if (next_is("]")) return
  do read_value(name "..")
  while (next_is(","))
  if (!next_is("]")) refuse("expected ',' or ']'")
}

# In pieces, since adding to a long text one character at a time takes time with its square.
function read_string(    c, value) {
  take(1)
  while ((c = substr(text, pos, 1)) != "\"") {
    if (c == "" || c == "\n") refuse("a text has no end")
    if (c == "\\") value = value read_escape()
    else if (match(substr(text, pos, 4096), /^[^"\\\n]+/)) value = value take(RLENGTH)
  }
  take(1)
  return value
}

# Capstan sends text as UTF-8 and escapes control characters alone, so other \u are not needed.
function read_escape(    c, code) {
  c = substr(text, pos + 1, 1)
  if (c == "u") {
    if (!match(substr(text, pos + 2, 4), /^00[0-7][0-9a-fA-F]$/)) refuse("only \\u of ASCII are read")
    code = 16 * substr(text, pos + 4, 1) + index("123456789abcdef", tolower(substr(text, pos + 5, 1)))
    if (code == 0) refuse("a text holds NUL")
    take(6)
    return sprintf("%c", code)
  }
  if (!index("\"\\/bfnrt", c) || c == "") refuse("an escape that JSON does not have")
  take(2)
  if (c == "b") return "\b"
  if (c == "f") return "\f"
  if (c == "n") return "\n"
  if (c == "r") return "\r"
  if (c == "t") return "\t"
  return c
}

# Keeps what was read if it is what was asked for. A name that is there twice has its last value, as everywhere.
function note(name, kind_read, value) {
  if (name == path) { kind = kind_read; answer = value }
}

function next_is(c) {
  skip_blanks()
  if (substr(text, pos, 1) != c) return 0
  pos++
  return 1
}

function skip_blanks() {
  while (index(" \t\r\n", substr(text, pos, 1)) && pos <= length(text)) pos++
}

function take(count,    taken) {
  taken = substr(text, pos, count)
  pos += count
  return taken
}

function refuse(reason) { quit(3, "standard input is not JSON: " reason " at byte " pos) }

function quit(status, reason) {
  print reason >"/dev/stderr"
  exit status
}
