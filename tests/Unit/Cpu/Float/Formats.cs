global using Binary32 = Vmm.Cpu.Float.Binary<float, uint>;
global using Binary64 = Vmm.Cpu.Float.Binary<double, ulong>;
