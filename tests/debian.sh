# shellcheck shell=bash
# For the machines of tests/aarch64 and tests/musl: Debian's packages, unpacked into a folder. Nothing is installed, and it needs
# no rights. Sourced, with the folder in $folder.

needs() { for tool in "$@"; do command -v "$tool" > /dev/null || { echo "needs $tool, which is not installed" >&2; exit 3; }; done; }

# apt with lists of its own, for this processor or for another one, on a machine that has nothing yet. What stands behind a dash
# tells one set of lists from another.
apt() {
  local state=$folder/apt/$1 architecture=${1%%-*}
  shift
  mkdir -p "$state"/{lists,cache/archives}/partial
  : > "$state/status"
  cat > "$state/conf" <<CONF
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Dir::State "$state";
Dir::State::status "$state/status";
Dir::Cache "$state/cache";
CONF
  if [ -e "$state/sources.list" ]; then
    printf 'Dir::Etc::sourcelist "%s";\nDir::Etc::sourceparts "/nowhere";\n' "$state/sources.list" >> "$state/conf"
  fi
  APT_CONFIG=$state/conf apt-get -qq "$@"
}

# These packages of Debian, unpacked into a folder.
unpacked() {
  local architecture=$1 into=$2 package
  shift 2
  mkdir -p "$into" "$folder/apt/$architecture/packages"
  rm -f "$folder/apt/$architecture/packages"/*.deb
  (cd "$folder/apt/$architecture/packages" && apt "$architecture" download "$@")
  for package in "$folder/apt/$architecture/packages"/*.deb; do dpkg-deb -x "$package" "$into"; done
}

# The name of what a package needs whose name begins so: it has a version in it.
needed_by() {
  APT_CONFIG=$folder/apt/amd64/conf apt-cache depends "$1" | sed -n "s/.*Depends: \($2[^ ]*\).*/\1/p" | head -n 1
}

# A rustc of Debian's in $folder/host, with these packages beside it, and the file $folder/rustc, which runs it.
host_with_rustc() {
  local std llvm
  apt amd64 update
  std=$(needed_by libstd-rust-web-dev libstd-rust-web-)
  llvm=$(needed_by "$std" libllvm)
  unpacked amd64 "$folder/host" rustc-web libstd-rust-web-dev "$std" "$llvm" "$@"
  wrapper rustc
}

# A program of $folder/host as the file $1, which does not find its own libraries there.
wrapper() {
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%s/usr/lib/x86_64-linux-gnu exec %s/usr/bin/%s "$@"\n' \
    "$folder/host" "$folder/host" "${1##*/}" > "$folder/$1"
  chmod +x "$folder/$1"
}
