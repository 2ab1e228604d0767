# waitgate inside the application's own image. Once every target is ready, the
# command replaces waitgate. So the application is process 1, gets the signals, and
# has its own arguments and environment.
FROM nginx:1
COPY --from=waitgate:0.1.0 /usr/local/bin/waitgate /usr/local/bin/waitgate
ENTRYPOINT ["waitgate", "tcp:db:5432", "--"]
CMD ["nginx", "-g", "daemon off;"]
