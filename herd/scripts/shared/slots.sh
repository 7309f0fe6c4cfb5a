# What a saved slot is of, and how llama-swap and llama-server are asked about it.
# usage: slots.sh     (its text takes the place of a line `. slots.sh`; the script says `root`, the
# `port` and `key` of llama-swap, and `limit`, the seconds that an answer may take)
# llama-server refuses a file of another shape, and may answer nonsense from then on (llama.cpp
# #27068); one of another meaning it takes. So it is offered none but its own: of the same build, and
# of the model as it stands in config.yaml, where the content of its files has a line, too.
swap=http://127.0.0.1:$port
get() {
  printf 'header = "Authorization: Bearer %s"\n' "$(cat "$key" 2>/dev/null)" |
    curl -q --noproxy '*' -s --max-time "$limit" --config - "$@"
}
digest() { shasum -a 256 | cut -c 1-16; }
# Prints names of a model's files up to the slot's number. usage: of_model MODEL
of_model() { echo "herd-$(printf '%s' "$1" | digest)"; }
# Prints what a slot of a running model is of, or nothing. usage: of_build PROPS HEADING
# PROPS is what llama-server says of itself.
# HEADING is the line of config.yaml with which the model begins; an own one is less deep than what follows.
of_build() {
  build=$(printf '%s\n' "$1" | grep -o '"build_info":"[^"]*"')
  block=$(heading=$2 awk '$0 == ENVIRON["heading"] { on = 1; print; next } /^[^ ]/ || /^  [^ ]/ { on = 0 } on' "$root/config.yaml" 2>/dev/null)
  [ -z "$build" ] || [ -z "$block" ] || printf '%s\n' "$build" "$block" | digest
}
