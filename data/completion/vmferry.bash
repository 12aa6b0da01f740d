# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion for vmferry(1)

_vmferry_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

# Their ids; the last line of the table is about memory.
_vmferry_migrations() {
    vmferry status 2>/dev/null | awk '$1 ~ /^[0-9a-f-]+$/ { print $1 }'
}

_vmferry() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command='' arguments=0 i
    local commands='migrate status cancel postcopy bandwidth inspect check maintenance peers features
        socket policy hook capture' words=''

    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --engine | --parallel | --copy-storage | --bandwidth | --downtime | --cache | --zstd | --timeout | \
            --on-timeout | --dname | --xml | --force | --device | --source | --destination | \
            --connect | -c | --guest | -g | --peer | -p | --folder | --program) i=$((i + 1)) ;; # the value is no argument
        -*) ;;
        *) if [ -z "$command" ]; then command=${COMP_WORDS[i]}; else arguments=$((arguments + 1)); fi ;;
        esac
    done
    case $command,$prev in
    migrate,--engine) words='auto pump one-sided native plain' ;;
    migrate,--native-compression) words='auto none xbzrle zlib zstd' ;;
    migrate,--copy-storage) words='all inc' ;;
    migrate,--zstd) words='auto off 1 3 6 9' ;;
    migrate,--on-timeout) words='suspend postcopy abort' ;;
    migrate,--xml | check,--xml | check,--source | check,--destination | policy,--guest | policy,-g)
        _vmferry_files "$cur"
        return
        ;;
    peers,--connect | peers,-c | policy,--peer | policy,-p) words=$(vmferry peers --names 2>/dev/null) ;;
    migrate,--parallel | migrate,--bandwidth | migrate,--downtime | migrate,--cache | \
        migrate,--timeout | migrate,--dname | inspect,--device) ;;
    ,*) words="$commands --help --version" ;;
    migrate,*)
        case $cur,$arguments in
        -*) words='--json --quiet --engine --unencrypted --verify --parallel --postcopy --postcopy-after-precopy --postcopy-resume
            --persistent --undefine-source --copy-storage --bandwidth --downtime --cache --no-delta
            --zstd --timeout --on-timeout --dname --xml --force
            --help' ;;
        *,0) words=$(virsh --quiet --readonly list --name 2>/dev/null) ;;
        *,1) words=$(vmferry peers --names 2>/dev/null) ;;
        esac
        ;;
    status,*)
        case $cur,$arguments in
        -*) words='--memory --json --help' ;;
        *,0) words=$(_vmferry_migrations) ;;
        esac
        ;;
    cancel,* | postcopy,* | bandwidth,*)
        case $cur,$arguments in
        -*) words='--json --help' ;;
        *,0) words=$(_vmferry_migrations) ;;
        esac
        ;;
    inspect,*)
        case $cur,$arguments in
        -*) words='--json --device --ram --sections --help' ;;
        *,0)
            _vmferry_files "$cur"
            return
            ;;
        esac
        ;;
    check,*)
        case $cur,$arguments in
        -*) words='--source --destination --dname --xml --tls --postcopy --force --json --verbose --help' ;;
        *,0) words=$(virsh --quiet --readonly list --name 2>/dev/null) ;;
        *,1) words=$(vmferry peers --names 2>/dev/null) ;;
        esac
        ;;
    maintenance,*)
        case $cur,$arguments in
        -*) words='--help' ;;
        *,0) words='on off' ;;
        esac
        ;;
    socket,*)
        case $cur,$arguments in
        -*) words='--json --help' ;;
        *,0) words=$(virsh --quiet --readonly list --name 2>/dev/null) ;;
        *,1) words=$(vmferry peers --names 2>/dev/null) ;;
        esac
        ;;
    plan,*)
        case $cur,$arguments in
        -*) words='--link --json --help' ;;
        *,0) words=$(virsh --quiet --readonly list --name 2>/dev/null) ;;
        *,1) words=$(vmferry peers --names 2>/dev/null) ;;
        esac
        ;;
    policy,*)
        case $cur,$arguments in
        -*) words='--guest --peer --incoming --json --help' ;;
        *,0) words='check show' ;;
        *)
            _vmferry_files "$cur"
            return
            ;;
        esac
        ;;
    capture,*) words='on off status --json --help' ;;
    hook,--folder | hook,--program)
        _vmferry_files "$cur"
        return
        ;;
    hook,*) words='install remove status --folder --program --reload --json --help' ;;
    features,*)
        case $cur,$arguments in
        -*) words='--json --help' ;;
        *,0) words=$(vmferry peers --names 2>/dev/null) ;;
        esac
        ;;
    peers,*) words='--json --names --connect --help' ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _vmferry vmferry
