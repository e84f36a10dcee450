-- wrk: the same form in every request. wrk formats it once.

function init(args)
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
    wrk.body = args[1]
end

function done(summary, latency, requests)
    local failed = summary.errors
    print(string.format('{"requests": %d, "microseconds": %d, "errors": %d, "p99": %d}',
        summary.requests, summary.duration,
        failed.connect + failed.read + failed.write + failed.status + failed.timeout, latency:percentile(99)))
end
