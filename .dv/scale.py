import sys, time, os, subprocess, threading
sys.path.insert(0, sys.argv[1]); mode=sys.argv[2]
import numpy as np, aotconv, warnings
warnings.simplefilter("ignore")
from statistics import mean, median
RNG=np.random.default_rng(0)
CASES=[((1,28,28,64),(3,3,64,64)),((1,56,56,64),(3,3,64,64)),((1,28,28,256),(3,3,256,256)),((1,112,112,64),(3,3,64,128))]
hogs=[subprocess.Popen([sys.executable,"-c","while True: pass"]) for _ in range(8)] if mode=="hog" else []
T=[1,2,4,8,16]
for s,w in CASES:
    x=RNG.random(s,np.float32); layer=aotconv.Conv2D(RNG.random(w,np.float32),padding="same"); o=layer(x,threads=1)
    for t in T: layer(x,o,threads=t)
    T2=T+[None]
    got={t:[] for t in T2}
    for b in range(8):
        for t in T2:
            for i in range(20):
                if mode=="pause": time.sleep(.002)
                a=time.perf_counter(); layer(x,o,threads=t); d=(time.perf_counter()-a)*1e6
                if i>2: got[t].append(d)
    m1=median(got[1])
    print(mode,s,w,"1:",f"{m1:.0f}"," | ".join(f"{t}: med {median(g):.0f} mean {mean(g):.0f} p99 {sorted(g)[int(len(g)*.99)]:.0f} x{m1/median(g):.2f}" for t,g in got.items() if t!=1),flush=True)
for h in hogs: h.kill()
if mode=="back":
    x=RNG.random((1,56,56,64),np.float32); layer=aotconv.Conv2D(RNG.random((3,3,64,64),np.float32),padding="same"); layer(x)
    def run(t,n=100):
        go=threading.Barrier(17)
        def work():
            o=layer(x,threads=t); go.wait()
            for _ in range(n): layer(x,o,threads=t)
        TT=[threading.Thread(target=work) for _ in range(16)]
        for q in TT: q.start()
        go.wait(); a=time.perf_counter()
        for q in TT: q.join()
        return 1600/(time.perf_counter()-a)
    r={1:[],None:[]}
    for _ in range(4):
        for t in r: r[t].append(run(t))
    print("sixteen callers, calls/s", {t:f"{median(v):.0f}" for t,v in r.items()}, len(os.listdir("/proc/self/task")),"threads")
