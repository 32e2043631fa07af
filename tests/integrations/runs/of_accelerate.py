"""accelerate: ``attach`` on every process, ``save_state``, ``load_state``."""

import torch
from accelerate import Accelerator
from together import PLACE, count_captures, leave_together

from jellyml.integrations.accelerate import attach

count_captures()
accelerator = Accelerator(cpu=True)
attached = attach(accelerator)
net = torch.nn.Linear(2, 2)
model, optimizer = accelerator.prepare(net, torch.optim.Adam(net.parameters()))
model(torch.ones(1, 2)).sum().backward()
optimizer.step()
accelerator.save_state(str(PLACE / "saved"))
accelerator.wait_for_everyone()
accelerator.load_state(str(PLACE / "saved"))
accelerator.save_model(model, str(PLACE / "model"))
attached.fill(PLACE / "model")
leave_together()
