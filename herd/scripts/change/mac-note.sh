# Notes what a setting of the Mac is, before it is changed first. usage: mac-note.sh RECORD NAME VALUE
. note-before.sh
note "$@"
