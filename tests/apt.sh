# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Packages that tests use without installing them. Sourced; bash.
#
# The mirrors, keys and proxies are the machine's own; its lists, its cache and what is installed are
# left alone, so no root is needed and nothing has to be put back.

readonly unavailable=77 # exit status: it cannot be had here

# private_apt FOLDER deb|deb-src [SUFFIX...]: package lists of our own in FOLDER: the machine's Debian
# release, its security updates, and the release's other suites (backports, updates).
# Afterwards "${apt[@]}" is the command.
private_apt() {
    local folder=$1 type=$2
    shift 2
    mkdir -p "$folder"/{lists/partial,archives/partial,sources,none}
    "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/apt-sources" --type "$type" \
        "$folder/sources" "$@" || return $unavailable
    # the machine's settings, but its hooks: they are about its own lists and cache
    apt-config dump | grep -v -e '-Invoke' >"$folder/apt.conf"
    cat >>"$folder/apt.conf" <<-END
	Dir::Etc::Parts "$folder/none";
	Dir::Etc::Main "/dev/null";
	Dir::Etc::SourceList "/dev/null";
	Dir::Etc::SourceParts "$folder/sources";
	Dir::Etc::Preferences "/dev/null";
	Dir::Etc::PreferencesParts "$folder/none";
	Dir::State::Lists "$folder/lists";
	Dir::Cache::Archives "$folder/archives";
	Dir::Cache::pkgcache "";
	Dir::Cache::srcpkgcache "";
	APT::Sandbox::User "$(id -un)";
	Debug::NoLocking "1";
	END
    apt=(env "APT_CONFIG=$folder/apt.conf" apt-get -qq -y)
    # a mirror that lacks a suite is no matter, as long as another has what is asked for then
    "${apt[@]}" update >&2 || true
}

# unpack_archives FOLDER ROOT: FOLDER's packages, with /lib and the like inside of /usr
unpack_archives() {
    local package part
    for part in bin sbin lib lib64; do
        mkdir -p "$2/usr/$part"
        ln -s "usr/$part" "$2/$part"
    done
    for package in "$1"/*.deb; do
        dpkg-deb --fsys-tarfile "$package" |
            tar --extract --keep-directory-symlink --no-same-owner --directory "$2"
    done
}

# complete_folder FOLDER COMMAND...: makes FOLDER by COMMAND, which fills the folder it gets as its
# last word, unless it is there. Never half of it, and never two at once. A COMMAND that fails ends
# the script.
complete_folder() {
    local folder=$1 lock
    shift
    mkdir -p "$(dirname "$folder")"
    exec {lock}>"$folder.lock"
    flock "$lock"
    if [[ ! -d $folder ]]; then
        # shellcheck disable=SC2064 # as it is now
        trap "rm -rf '$folder.part'" EXIT
        rm -rf "$folder.part"
        mkdir "$folder.part"
        "$@" "$folder.part"
        mv -T "$folder.part" "$folder"
        trap - EXIT
    fi
    exec {lock}>&-
}

# folder_main NAME WORD...: the command line of a script that prints a folder of the cache, made the
# first time by its function fill. It has a function usage, too.
folder_main() {
    local folder=${XDG_CACHE_HOME:-/var/cache}/vmferry-lab/$1 again='' script=${0##*/}
    shift
    while (($#)); do
        case $1 in
        --again) again=1 ;;
        --help | -h) usage && exit ;;
        -*) echo "$script: unknown option '$1'; see '$script --help'" >&2 && exit 2 ;;
        *) folder=$1 ;;
        esac
        shift
    done
    [[ -z $again ]] || rm -rf "$folder"
    complete_folder "$folder" fill
    echo "$folder"
}
