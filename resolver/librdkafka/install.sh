#!/bin/sh
# Installs tracer-resolver from the archive that this script is in, or takes it away again.
#
#   ./install.sh [--prefix FOLDER]                 below /usr/local, unless said otherwise
#   ./install.sh --uninstall [--prefix FOLDER]
#
# A program that has the library loaded keeps the one that it has, and a program that starts meanwhile meets the old one or
# the new one, whole: each file comes to its place by a rename. The list of what was installed, by which it is taken away, is
# share/tracer-resolver/installed in that folder.
set -eu
export LC_ALL=C

prefix=/usr/local action=install
while [ $# -gt 0 ]; do
    case $1 in
    --prefix)
        prefix=${2-}
        case $prefix in
        /*) ;;
        *) echo "install.sh: --prefix needs a folder that begins with /" >&2; exit 2 ;;
        esac
        shift ;;
    --uninstall) action=uninstall ;;
    *) echo "install.sh: there is no option $1: --prefix, --uninstall" >&2; exit 2 ;;
    esac
    shift
done
list=$prefix/share/tracer-resolver/installed

# Takes the file $1 away, and the folders of ours that are empty then.
take_away() {
    rm -f "$prefix/$1"
    folder=$(dirname "$1")
    while :; do
        case $folder in
        */tracer-resolver*) rmdir "$prefix/$folder" 2>/dev/null || return 0 ;;
        *) return 0 ;;
        esac
        folder=$(dirname "$folder")
    done
}

if [ "$action" = uninstall ]; then
    [ -e "$list" ] || { echo "install.sh: nothing is installed in $prefix: $list is not there" >&2; exit 1; }
    # What Python has made of ours, where it could write.
    rm -rf "$prefix"/share/tracer-resolver/python/tracer_interceptors/__pycache__ \
        "$prefix"/share/tracer-resolver/python/tracer_interceptors/start/__pycache__
    # The list goes last, so that it can be done again if it is broken off.
    while read -r file; do take_away "$file"; done <"$list"
    take_away share/tracer-resolver/installed
    echo "taken away from $prefix"
    exit
fi

tree=$(cd "$(dirname "$0")" && pwd)/tree
[ -d "$tree" ] || { echo "install.sh: $tree is not there: run it where the archive was unpacked" >&2; exit 1; }
mkdir -p "$prefix/share/tracer-resolver"
(cd "$tree" && find . -type f | sed 's|^\./||' | sort) >"$list.new"
# Whatever comes, what is there now and what is about to come can be taken away.
{ if [ -e "$list" ]; then cat "$list"; fi; cat "$list.new"; } | sort -u >"$list.both"
mv "$list.both" "$list"
while read -r file; do
    mkdir -p "$prefix/$(dirname "$file")"
    cp "$tree/$file" "$prefix/$file.new"
    if [ -x "$tree/$file" ]; then chmod 755 "$prefix/$file.new"; else chmod 644 "$prefix/$file.new"; fi
    mv -f "$prefix/$file.new" "$prefix/$file"
done <"$list.new"
# What an earlier version had, and this one has not.
comm -23 "$list" "$list.new" | while read -r file; do take_away "$file"; done
mv "$list.new" "$list"
echo "installed in $prefix: $(wc -l <"$list") files"
"$prefix/bin/tracer-interceptors" path >/dev/null 2>&1 ||
    echo "install.sh: they do not run here: they are for Linux, and for the processor and the C library that their archive was made for" >&2
