# What a proxy of this host counts; nothing where it does not answer. usage: proxy-numbers.sh SOCKET
. proxy-metrics.sh
proxy_metrics "$1"
exit 0
