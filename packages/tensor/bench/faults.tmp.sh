node --conditions=source packages/tensor/bench/measure.ts dit train 12 2 > /tmp/f.json &
p=$!; sleep 7; for i in 1 2 3; do awk '{print $10}' /proc/$p/stat; sleep 2; done; grep -i -E "AnonHuge|^Rss" /proc/$p/smaps_rollup; wait $p; node -e 'const m=JSON.parse(require("fs").readFileSync("/tmp/f.json","utf8"));console.log(m.times.map(x=>x|0).join())'
