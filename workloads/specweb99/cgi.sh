#!/bin/sh
# Standard dynamic GET through CGI: the operation measures the cost of one process per request.
# Reads the CGI variables and DOCUMENT_ROOT; prints the same page as the other dynamic operations.

page() {  # page MESSAGE-OR-FILE
    printf '<html>\n<head><title>SPECweb99 Dynamic GET & POST Test</title></head>\n<body>\n'
    printf '<p>SERVER_SOFTWARE = %s\n<p>REMOTE_ADDR = %s\n' "$SERVER_SOFTWARE" "$REMOTE_ADDR"
    printf '<p>SCRIPT_NAME = %s\n<p>QUERY_STRING = %s\n<pre>\n' "$SCRIPT_NAME" "$1"
}

fail() {  # fail STATUS MESSAGE
    printf 'Status: %s\nContent-Type: text/html\n' "$1"
    printf 'Set-Cookie: found_cookie=Ad_id=-1&Ad_weight=0&Expired=1\n\n'
    page ''
    printf '%s\n</pre></body></html>\n' "$2"
    exit 0
}

# accept the names of files of the file set only
case "$QUERY_STRING" in
    /file_set/dir[0-9][0-9][0-9][0-9][0-9]/class[0-3]_[0-8]) ;;
    *) fail '400 Bad Request' 'the query string does not name a file of the file set' ;;
esac
[ -r "$DOCUMENT_ROOT$QUERY_STRING" ] || fail '404 Not Found' 'there is no such file'

printf 'Content-Type: text/html\n\n'
page "$QUERY_STRING"
cat "$DOCUMENT_ROOT$QUERY_STRING"
printf '\n</pre></body></html>\n'
