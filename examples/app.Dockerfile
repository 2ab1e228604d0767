# waitgate inside the application's own image. Once every target is ready, the
# command replaces waitgate. So the application is process 1, gets the signals, and
# has its own arguments and environment. HEALTHCHECK looks once and says why not:
# `docker inspect` shows the line. --attempt-timeout is shorter than Docker's --timeout,
# so that waitgate ends first. Kubernetes ignores HEALTHCHECK (14-probe.yaml is for it).
# Not run by the tests: docker. They run both commands.
FROM nginx:1
COPY --from=waitgate:0.1.0 /usr/local/bin/waitgate /usr/local/bin/waitgate
HEALTHCHECK --interval=10s --timeout=2s CMD ["waitgate", "--once", "--attempt-timeout=1s", "http://127.0.0.1/"]
ENTRYPOINT ["waitgate", "tcp:db:5432", "--"]
CMD ["nginx", "-g", "daemon off;"]
