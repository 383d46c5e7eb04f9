namespace Vmm.Unit.Firmware.Archives;

/// <summary>
/// Packages of dpkg-deb 1.21: boot/vmlinuz ("kernel bytes\n"), bin/tool (mode 755), bin/alias (a link to it) and a file of
/// 1500 letters x with a path of more than 100 bytes.
/// </summary>
internal static class SamplePackages
{
    public const string LongPath = "usr/share/very/long/path/that/does/not/fit/into/one/hundred/bytes/of/a/ustar/header/at/all/because/it/goes/on/file";

    public const string Xz =
        "ITxhcmNoPgpkZWJpYW4tYmluYXJ5ICAgMTAwMDAwMDAwMCAgMCAgICAgMCAgICAgMTAwNjQ0ICA0ICAgICAgICAgYAoyLjAKY29udHJvbC50YXIueHogIDEwMDAwMDAwMDAgIDAgICAg" +
        "IDAgICAgIDEwMDY0NCAgMjg4ICAgICAgIGAK/Td6WFoAAATm1rRGBMDeAYBQIQEWAAAAAAAAAKvSyhvgJ/8A1l0AFwu8HH0BlcAdSj55FcLa/golgoozJUTAH+OnsszYA6lMj2gLkj8m" +
        "DDomIMMY99yBKKeuS/pt+eAOAj10/r82u+5Wz8DTiANVptftdKkV9iDydDchgjjVbH+f9lW6t98LB0DsPjDTclwJi4BbxypwRSIgNDfChaGWcRpe0vRLSwjYjNptJmxPRN7xTICMOdjP" +
        "esKBcj6tzVi/rfsSd+35YKua7wBQkIQTyn0YqCrlXw9KOysCC4Pwz7g1YNGVZCKPj/SoNYQ+XzSvPLuZ8UpfUpcf3L4tDAAAAHBl+IEVd0U9AAH6AYBQAACZX9nLscRn+wIAAAAABFla" +
        "ZGF0YS50YXIueHogICAgIDEwMDAwMDAwMDAgIDAgICAgIDAgICAgIDEwMDY0NCAgNjMyICAgICAgIGAK/Td6WFoAAATm1rRGBMC3BIDwASEBFgAAAAAAACy7z2rgd/8CL10AFwu8HH0B" +
        "lcAdSj55FcLa/golgoozJUTAH+OnsszYA6lMj2gLkj8mDDomIMMY99yBKKeuS/pt+de5wK5hYZxnOVlRUszwAFaUUER7EBrrhsLT9KiQdQ8pWmYkIaj7hBDiXS4/PDBULEwuQ5nSLpNp" +
        "Iurv2h/OQuUBkPdHdarY5kZQNUiAr4Kbwz2rl+jlhXwlD6SmXzFtKdVhyrC0HtIRsr2ha6AeIAwipcIukD4kSSoKPX/gPehQQfGnwzEP8SxT2e0D9ACOVkMdShwhBOgchbQpivbErHVp" +
        "LUc3e0qaPsOLnQDTgfE+OB9Ck8aJND6RyuZz2V+Jt9pyURG31oNf0cDzyq81VynenMFbwLMofQZubuHwsqJsbIf2lZ4nNNws9n27uv1M7Nxg48zc9An5QHUTf7wg7ouwn9EC5rqDfvdn" +
        "1rX+FdduD7Ui1q56M7XuIR03JYTBkllI1NUBLHCg1Wth+SeZC0k1q+/8u0Tlc6GyJKTUZIUg/mLTrvBhOPFq95ZLLVKme1yVOutLOttLuqu5iVlbJ4/BOxuqDoSsCnAeTDwIX/UgiHTH" +
        "K0S0qVILumGJS4eQC3zfgVZaMXBEnfkYbsk/t/aH2P4RDUtlOkm4+K0I/i6InfJYUK59s65FukKrWThxFbui/Em5SpBudPyHK9NIwhdEANeUGi+m9M7EGBdxH/XJByqvx3vDYDHLMgMJ" +
        "80f5d16k1NVfMHcT3ek6B2lF+F5bckSk1Fj5AAAAierca6WlJdcAAdMEgPABADbo+eOxxGf7AgAAAAAEWVo=";

    public const string Zstd =
        "ITxhcmNoPgpkZWJpYW4tYmluYXJ5ICAgMTAwMDAwMDAwMCAgMCAgICAgMCAgICAgMTAwNjQ0ICA0ICAgICAgICAgYAoyLjAKY29udHJvbC50YXIuenN0IDEwMDAwMDAwMDAgIDAgICAg" +
        "IDAgICAgIDEwMDY0NCAgMjAyICAgICAgIGAKKLUv/WQAJ+UFAILJHx1gRfNQS2mcNMzUNtH1Qyz3HaDBNIm/5K8AAVzAyZWJD2kfEGF5TwJdGOwAwxc+133P+OqMD4GkfOv6mwq7xgZ8" +
        "A1qCJCFOrZse6bcCtWQCHl3XywOAL8F7ECRRqjG1liL963R4pOr+Z/dfpQ3bs1RrbDFlJY0PMzPWmJnPkQIWACsDeADUm0AMB0ghKgl3jpXBgAE1AtkNkHXyDSwOzXQ0QAHAkHsBoAQW" +
        "NMdMM9QcCADAsXIZn8AQEEmD42RhdGEudGFyLnpzdCAgICAxMDAwMDAwMDAwICAwICAgICAwICAgICAxMDA2NDQgIDU4OSAgICAgICBgCii1L/1kAHf9EQCW0zgdgKdtiGi0D5PQj7X/" +
        "a6GgGg9jMjMpMwvERTaEAhswADMALQD/zt3+kTsKCgMIQKPAPqmp/lsv5lqQO9o/UxgGgxpr2Cg23Xm59zgWiMjsiIjFHQGMlObIe0pDBYf5HGK9aj0EJhm4dmZikMKOYQ0rM6wpsNQQ" +
        "EEOlxaSE4lHe7YRmLYrA4FqZeJA9JSgpzdqafAjR7/Druteb55LEJKtRODnX73HU+7aW074c1Ffi9rH0yW5qFOxH3RlaFDo4qnqOa1LLgfkzG8GNyaqsQQMJMRjFYmf2ZmItBsR6g8Ad" +
        "3acU0oCFqKCIikiSQgcQA5FAAgkzdQMSgIAohCJACBAChmIIMAKGACGYIUAIIoKEwGE5hIM5Rq8xZq3ZUIAA3VxNamQgbekNWCni6SXFgx382LsaMOI6wL/4bVo/XW0V123GDe18w7qQ" +
        "YQmplz/Xk1/oPg4gP78GMKB9lo8HgG8YMEotMEiGzPYAWh8AgANQcgNSbsCKGcDOA9x3wLsOAJEZEJv3D9AucwUalOmBLukH3e4BtZ0FANbNa7bpIi9QCPNgpRuYBU2BpQ7wqG4+YFRJ" +
        "wPzSgls30Ei1v/fTy1O36ygbeli1maMf1yKgyh7gguzizvmA5BhegqyEesRZziAkLNBwQMCvGHbk8XU8obMBmUiwLgYsZTlzAFzFwRKcZe0BYAXskV/G9FLbn+PMPMSAsXcJ1I6ZOH4l" +
        "ARdguVlhU80lBwzMB2Jp3QCbLsx0UM2pyg6eE3icFbus5OryuHwK";

    public const string Gzip =
        "ITxhcmNoPgpkZWJpYW4tYmluYXJ5ICAgMTAwMDAwMDAwMCAgMCAgICAgMCAgICAgMTAwNjQ0ICA0ICAgICAgICAgYAoyLjAKY29udHJvbC50YXIuZ3ogIDEwMDAwMDAwMDAgIDAgICAg" +
        "IDAgICAgIDEwMDY0NCAgMjIzICAgICAgIGAKH4sIAAAAAAACA+3RQUvDMBjG8Zz7KfIF7JY2WaDI2MDrwJP3GMMsds1IM9Bvv9J6UVAvVhD+PwhvSF6ey1OuxOLWI2vMNEef53y3td4Y" +
        "beZ3a5UW0og/cBmyS1KKFGP+bu+n/3+qXPnY5xS7hfvfaP1l/8rYj/0rVVeVkGv6X9y98y/uGBo5uNO5C8VDSEMb+0aqpirrG13sk39uc/D5ksYt13XFwbV9Hk9IjezjY3x6k7fz3IXX" +
        "KaWM6bgt7sLgU3vOU9x7vAAAAAAAAAAAAAAAAADwe67+74wIACgAAApkYXRhLnRhci5neiAgICAgMTAwMDAwMDAwMCAgMCAgICAgMCAgICAgMTAwNjQ0ICA2MzIgICAgICAgYAofiwgA" +
        "AAAAAAID7ZzLcpswGEZZ5ynodG9d0GXbB/BLyLUcmFCpwyXT9OmLySokdYoLQsB3NvJthhkf6fslwehAktmhHVrKvu0Ytq+vdSaUFPL1c62ZSFKZBKCtG1OlaVJ539z63Wffr5QDORWO" +
        "ROafUaHgP6D/xvtyQf+MD/yzTNEkpfA/O1+/9B2gzh8SsEO68d917HkLwB35r6RG/gf0//yjLFz7ez7/Sogb+S8H/nlGOfI/BE+2crZMTy+NrVEC9pj/bV3FN/+XXCL/w/mvc1NZEo9/" +
        "pjjqf3D/z7Z6IVH45wr7Pwv5L717JEv7z6TM4H85/z9Nk5MF/Xct8n9p/01uptkYGO9fCgH/Ufg/e1uT4P6VoAz+o/Hv/m+HcLx/zeE/Mv+X4u4+cId/rTD/i89/4RpPAvjn13fwH6d/" +
        "78buFI33zyTD/l/E/vPWnSt7JnP5z5hQ8B+///62EZnev+Aa+b8a//5Cpvavuwb+1+PfkEn9S8bhf13++/+RTORfcYn6v0b/uTVnO+wG4/1rSeF/xf7f3jgY7T+jjHH4X7V/U5bkfv9K" +
        "wX8g/wfy7dg5PxbuaaZrfPb853Wx/6YvMKZot/47wv+6x//JfjdtbUkC9ux/fP5zjvq/o/yX7H3+U+T/ZvK/aFACkP/If+T/X/L/g/m/RP5vKf8fJ3iOECD/Mf43mP/qg/k/Q/5vLv+9" +
        "QwlA/iP/kf+D/JeY/+8k/y9FaZG6+8v/G+Of60y+y3+e4fyXEPwCAACwOR7+qf5fj380ZWHq2WpMv/7Tesz5L5nu5v983mNJUf8BAAAAAAAAAAAAAAAAAAAAAABshj9YgoZNAHgAAA==";
}
