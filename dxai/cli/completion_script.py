"""Shell completion scripts."""

from __future__ import annotations

from click import Command
from click.shell_completion import get_completion_class

_BASH = r"""# dxai: completion of verbs, options and overrides
_dxai_completion() {
    local line="${COMP_LINE:0:COMP_POINT}" word kind reply
    local -a words
    IFS=' ' read -ra words <<< "$line"
    [[ $line == *' ' ]] && words+=('')
    word="${words[-1]}"
    COMPREPLY=()
    while IFS=',' read -r kind reply; do
        case $kind in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain)
                [[ $reply == *[=.] ]] && compopt -o nospace
                # Bash breaks words at '=' and completes only what stands behind it.
                [[ $word == *=* && $COMP_WORDBREAKS == *=* ]] && reply="${reply##*=}"
                COMPREPLY+=("$reply") ;;
        esac
    done < <(COMP_WORDS="$line" COMP_CWORD=$((${#words[@]} - 1)) _DXAI_COMPLETE=bash_complete "${words[0]}")
}
complete -F _dxai_completion dxai
"""


def completion_script(shell: str, command: Command) -> str:
    """The script of one shell: our own for bash, whose words break at ``=``; Click's for zsh and fish."""
    if shell == "bash":
        return _BASH
    kind = get_completion_class(shell)
    assert kind is not None
    return kind(command, {}, "dxai", "_DXAI_COMPLETE").source()
