# The gate inside the application's own image: waitgate replaces itself by the
# command once every target is ready, so the application is process 1 and gets
# the signals, with its arguments and environment as given.
FROM nginx:1
COPY --from=waitgate:0.1.0 /usr/local/bin/waitgate /usr/local/bin/waitgate
ENTRYPOINT ["waitgate", "tcp:db:5432", "--"]
CMD ["nginx", "-g", "daemon off;"]
