-- wrk: a form whose NUMBER is another number in every request. One wrk thread only, or the numbers repeat.

local before, after, number = "", "", 0

function init(args)
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
    before, after = args[1]:match("^(.*)NUMBER(.*)$")
end

function request()
    number = number + 1
    return wrk.format(nil, nil, nil, before .. number .. after)
end

function done(summary, latency, requests)
    local failed = summary.errors
    print(string.format('{"requests": %d, "microseconds": %d, "errors": %d, "p99": %d}',
        summary.requests, summary.duration,
        failed.connect + failed.read + failed.write + failed.status + failed.timeout, latency:percentile(99)))
end
