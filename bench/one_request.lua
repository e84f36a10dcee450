-- wrk: the same request every time. Arguments: method, body ("" for none), then names and values of headers in turn.

function init(args)
    wrk.method = args[1]
    if args[2] ~= "" then
        wrk.body = args[2]
    end
    for place = 3, #args - 1, 2 do
        wrk.headers[args[place]] = args[place + 1]
    end
end

function done(summary, latency, requests)
    local failed = summary.errors
    print(string.format('{"requests": %d, "microseconds": %d, "errors": %d, "p99": %d}',
        summary.requests, summary.duration,
        failed.connect + failed.read + failed.write + failed.status + failed.timeout, latency:percentile(99)))
end
