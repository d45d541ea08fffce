from tests.test_forecast_laws import *
import time
def test_x(truth, capsys):
    with capsys.disabled():
        for m in ("midnight","after_act","never_met"):
            r=truth[truth.moment==m]; 
            for x in REPORTED:
                q,p=r[f"p_purchase_{x}d"],r[f"said_{x}d"]
                print(m,len(r),x,"P/Q",round(p.sum()/max(q.sum(),1e-9),3),"P",round(p.sum(),2),"Q",round(q.sum(),2),"dev",round(float(np.sqrt(((p-q)**2).sum())),2),"ll",round(log_loss(q,p),4),round(log_loss(q,q.mean()),4))
        for n in ("stay","lapse","awareness","interest","true_interest","purchase","share"):
            print(n, truth[f"said_{n}_30d"].mean(), truth[("p_" if n in ("stay","lapse") else "p_next_")+n+"_30d"].mean())
